"""The daemon's real service on a real socket, in a thread with its own loop."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import itertools
import logging
import queue
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from tests.unit.daemon.conftest import Daemon
from tests.unit.guestmanager.pairs import Pair

from gaovm import errors
from gaovm.aio import sockets, tasks
from gaovm.client import blocking
from gaovm.daemon import server
from gaovm.daemon.drivers import driver_link, forks
from gaovm.daemon.vms import machine, project_file
from gaovm.driver.session import Sessions
from gaovm.guestmanager.transport.connection import Connection
from gaovm.ipc import frames
from gaovm.ipc import server as ipc_server
from gaovm.wire import anyjson
from gaovm.wire.control import images

LIMIT_S = 60.0
SILENCE_S = 0.02
_PIDS = itertools.count(5_000_001)  # above pid_max: no process


class NoImages:
    """An empty image store."""

    async def all(self) -> list[images.ImageInfo]:
        return []

    async def build(self, wanted: images.Build, progress: Any) -> images.ImageInfo:
        raise errors.NotFound("there are no images")

    async def pull(self, location: str, digest: str | None, progress: Any) -> images.ImageInfo:
        raise errors.NotFound("there are no images")

    async def remove(self, ref: str, used: dict[str, list[str]]) -> images.Pruned:
        raise errors.NotFound("there are no images")

    async def prune(self, used: dict[str, list[str]]) -> images.Pruned:
        return images.Pruned(removed=(), freed_bytes=0)

    async def clear_cache(self) -> int:
        return 0

    async def sweep(self) -> None:
        return


class NoZygote:
    """Forks nothing: whoever asks for a driver gets a driver's socket and token instead."""

    def __init__(self) -> None:
        self.forked: queue.Queue[tuple[socket.socket, str]] = queue.Queue()
        self.gone_now: asyncio.Event

    async def fork(self, vm: str, token: str, log: Path, control: socket.socket) -> forks.Forked:
        self.forked.put((control.dup(), token))
        return forks.Forked(pid=next(_PIDS), start_time=0)

    async def gone(self, forked: forks.Forked) -> int | None:
        await self.gone_now.wait()
        return 0


class Defects(logging.Handler):
    """What no peer may cause: logged errors, and exceptions that reach the loop."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.exc_info:
            text += "\n" + logging.Formatter().formatException(record.exc_info)
        self.found.append(text)

    def in_loop(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.found.append(f"{context.get('message')}: {context.get('exception')!r}")

    def check(self) -> None:
        found, self.found = self.found, []
        assert not found, "\n".join(found)


class World:
    """A daemon with one running VM, and a client that must never notice anything."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.sessions_path = home / "driver.sock"
        self._source = NoZygote()
        self._sessions: Sessions
        self._subject: machine.Machine
        self.defects = Defects()
        self.server: ipc_server.Server
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop
        self._end: asyncio.Event
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()))
        logging.getLogger().addHandler(self.defects)
        self._thread.start()
        assert self._ready.wait(LIMIT_S)
        self.witness = blocking.connect(home, start=False)

    @contextlib.contextmanager
    def driver(self) -> Iterator[tuple[socket.socket, str]]:
        """Yield a driver's end of a control connection and its token, valid for one use."""
        ending = asyncio.run_coroutine_threadsafe(self._launch(), self._loop)
        control, token = self._source.forked.get(timeout=LIMIT_S)
        with control:
            control.settimeout(LIMIT_S)
            yield control, token
        self._loop.call_soon_threadsafe(self._source.gone_now.set)
        ending.result(LIMIT_S)

    async def _launch(self) -> None:
        self._source.gone_now = asyncio.Event()
        try:
            link = await driver_link.ForkLauncher(cast("forks.Forks", self._source)).launch(
                self._subject
            )
        except errors.DriverStartFailed:
            return
        await link.gone()

    def ticket(self) -> str:
        """Return a ticket for one good session."""
        future: concurrent.futures.Future[str] = concurrent.futures.Future()
        self._loop.call_soon_threadsafe(
            lambda: future.set_result(self._sessions.issue(LIMIT_S, None))
        )
        return future.result(LIMIT_S)

    async def _main(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        self._loop.set_exception_handler(self.defects.in_loop)
        async with tasks.TaskOwner("one") as owner, tasks.TaskOwner("two") as second:
            daemon = Daemon(self.home, owner, second)
            daemon.ctx.images = NoImages()
            await daemon.up()
            daemon.ctx.load_config = project_file.load
            listener = sockets.bind_unix(daemon.fleet.paths.socket)
            services = server.Front(daemon.ctx).services
            self.server = await ipc_server.serve_unix(listener, services, name="daemon")
            self._subject = daemon.fleet.machines["web-dev"]
            async with Pair() as pair:
                agent, _ = await pair.ear.connected.get()

                async def usable() -> Connection:
                    return agent

                self._sessions = Sessions(owner, self.sessions_path, usable)
                self._sessions.open()
                self._ready.set()
                await self._end.wait()
                await self.server.aclose()
                self._sessions.close()
        daemon.database.close()

    def attack(self, chunks: list[bytes]) -> list[anyjson.Object]:
        """Send the chunks on a separate connection, then the end; return the answers.

        The connection must end, and everything that came must be whole messages.
        """
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(LIMIT_S)
            sock.connect(str(self.home / "gaovmd.sock"))
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                for chunk in chunks:
                    sock.sendall(chunk)
            received = until_silence(sock)
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_WR)
            return messages(received + read_all(sock))

    def check(self) -> None:
        """Check that another client is still served, and that no defect was logged."""
        assert self.witness.call("ping", timeout_s=LIMIT_S)["ok"] is True
        assert isinstance(self.witness.call("vm.list", timeout_s=LIMIT_S)["vms"], list)
        self.defects.check()

    def close(self) -> None:
        """End everything; only the witness is still connected."""
        connections = {each.name for each in self.server.connections}
        self.witness.close()
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(LIMIT_S)
        logging.getLogger().removeHandler(self.defects)
        assert not self._thread.is_alive()
        assert connections == {"daemon client 1"}


def until_silence(sock: socket.socket) -> bytes:
    """Return what comes before a pause: calls get time to do something before the end comes."""
    received = b""
    sock.settimeout(SILENCE_S)
    with contextlib.suppress(TimeoutError, ConnectionResetError):
        while data := sock.recv(1 << 16):
            received += data
    sock.settimeout(LIMIT_S)
    return received


def read_all(sock: socket.socket) -> bytes:
    """Return all bytes until the other side ends the connection."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while data := sock.recv(1 << 16):
            received += data
    return received


def messages(data: bytes) -> list[anyjson.Object]:
    """Return the messages that our side has sent; all must be whole and valid."""
    decoder = frames.FrameDecoder()
    decoder.feed(data)
    return [frames.decode(body) for body in iter(decoder.next_frame, None)]


@contextlib.contextmanager
def running(home: Path) -> Iterator[World]:
    """Run a world; end it after the block."""
    made = World(home)
    try:
        yield made
    finally:
        made.close()
