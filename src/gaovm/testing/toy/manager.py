"""The host side of one toy VM: everything that ``driver.backend`` expects of a manager."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import cast

from gaovm import errors
from gaovm.aio import process, tasks
from gaovm.builder import document
from gaovm.model.facts import HostFacts
from gaovm.testing.toy.build import Document
from gaovm.vmmanager import events
from gaovm.vmmanager.pipes import Channels, LastWords
from gaovm.wire.driver import results
from gaovm.wire.driver.launch import LaunchRequest

GRACE_S = 2.0
DRAIN_LIMIT_S = 1.0
PIPES = ("monitor", "console", "agent")
Player = Callable[[socket.socket], Awaitable[bool]]
#: The machine's events, by their names on its monitor.
EVENTS: dict[str, events.Event] = {
    "reset": events.Reset(),
    "panicked": events.Panicked(paused=False),
    "panicked-paused": events.Panicked(paused=True),
    "watchdog": events.WatchdogFired(),
    "disk-full": events.DiskFailed(no_space=True),
    "paused": events.Paused(),
    "resumed": events.Resumed(),
    "port-closed": events.PortChanged(is_open=False),
}


class Monitor(asyncio.Protocol):
    """The conversation with the machine."""

    def __init__(self, on_event: events.OnEvent) -> None:
        self._on_event = on_event
        self._rest = b""
        self._idents = itertools.count(1)
        self._pending: dict[int, asyncio.Future[bool]] = {}
        self._transport: asyncio.Transport | None = None

    async def tell(self, command: str) -> bool:
        """Send a command and return whether the machine accepted it."""
        if self._transport is None or self._transport.is_closing():
            return False
        ident = next(self._idents)
        answer = self._pending[ident] = asyncio.get_running_loop().create_future()
        self._transport.write(json.dumps({"id": ident, "do": command}).encode() + b"\n")
        return bool(await answer)

    def close(self) -> None:
        """End the conversation. Idempotent."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in map(json.loads, lines):
            if line.get("event") in EVENTS:
                self._on_event(EVENTS[line["event"]])
            answer = self._pending.pop(line.get("id", 0), None)
            if answer is not None:
                answer.set_result(True)

    def connection_lost(self, exc: Exception | None) -> None:
        for answer in self._pending.values():
            answer.set_result(False)
        self._pending.clear()


class ToyHypervisor:
    """One run of the program."""

    def __init__(
        self, owner: tasks.TaskOwner, on_event: events.OnEvent, players: Mapping[str, Player]
    ) -> None:
        self._owner, self._players = owner, players
        self._monitor = Monitor(on_event)
        self._words = LastWords("toy")
        self._child: process.Child | None = None
        self._stack = contextlib.AsyncExitStack()
        self._played: list[socket.socket] = []
        self.argv: tuple[str, ...] = ()
        self.ended_by_host = False
        self.ended = asyncio.Event()

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return None if self._child is None or self.ended.is_set() else self._child.pid

    async def start(self, made: Document, cwd: Path) -> Channels:
        """Execute the program."""
        pairs = {name: socket.socketpair() for name in PIPES}
        for name, player in self._players.items():
            self._play(player, pairs[name][1].dup())
        words, output = socket.socketpair()
        fds = [pairs[name][1].fileno() for name in PIPES]
        self.argv = (*made.command, ",".join(map(str, fds)))
        self._child = await self._stack.enter_async_context(
            process.spawn(
                self.argv,
                cwd=cwd,
                stdout=output.fileno(),
                stderr=output.fileno(),
                pass_fds=fds,
                grace_s=GRACE_S,
            )
        )
        output.close()
        for pair in pairs.values():
            pair[1].close()
        await self._words.attach(words)
        ours = pairs["monitor"][0]
        ours.setblocking(False)
        await asyncio.get_running_loop().create_connection(lambda: self._monitor, sock=ours)
        return Channels(console=pairs["console"][0], agent=pairs["agent"][0])

    def _play(self, player: Player, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._played.append(sock)

        async def play() -> None:
            with sock, contextlib.suppress(ConnectionError):
                if await player(sock):
                    self.kill()
                    for each in self._played:
                        with contextlib.suppress(OSError):
                            each.shutdown(socket.SHUT_RDWR)

        self._owner.start(play(), name="player", finishable=True)

    async def exited(self) -> tuple[int, float]:
        """Wait for its end; return its status and the time when it was seen."""
        if self._child is None:
            raise errors.StateConflict("the toy was not started")
        return await self._child.wait(), self._child.ended_at or 0.0

    async def drain(self) -> None:
        """Collect its last output."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_LIMIT_S):
                await self._words.ended
        self._monitor.close()
        self._words.close()
        await self._stack.aclose()
        self.ended.set()

    def last_words(self) -> str:
        """Return the last lines that it wrote."""
        return "; ".join(self._words.tail.lines(5))

    def kill(self) -> None:
        """Kill the process with SIGKILL. Idempotent."""
        if self._child is not None and not self.ended.is_set():
            self._child.send_signal(signal.SIGKILL)

    async def press_power_button(self) -> bool:
        """Ask the guest to power itself off."""
        return await self._monitor.tell("power")

    async def quit(self) -> bool:
        """End the machine."""
        return await self._monitor.tell("quit")

    async def pause(self) -> bool:
        """Stop the guest."""
        return await self._monitor.tell("pause")

    async def resume(self) -> bool:
        """Let the guest continue."""
        return await self._monitor.tell("resume")

    async def set_reboot(self, *, allowed: bool) -> None:
        """Do nothing: a toy always restarts."""

    async def set_panic(self, *, pause: bool) -> None:
        """Do nothing: a toy panics as its test orders."""

    async def ready(self) -> bool:
        """Return whether the display works: a toy has none."""
        return False

    async def screendump(self) -> bytes:
        """Raise an error: a toy has no display."""
        raise errors.HypervisorFailed("the toy has no display")

    async def view(self, viewer: socket.socket) -> None:
        """Raise an error: a toy has no display."""
        raise errors.HypervisorFailed("the toy has no display")


class Toy:
    """One toy VM."""

    def __init__(self, request: LaunchRequest, made: Document, hypervisor: ToyHypervisor) -> None:
        self._request, self._document = request, made
        self.hypervisor = hypervisor
        self.network_problem: errors.GaoError | None = None

    async def prepare(self) -> None:
        """Make or grow the disk, which is an empty sparse file."""
        await self.grow_disk(self._request.spec.disk.size_bytes)

    async def start(self) -> Channels:
        """Execute the program."""
        return await self.hypervisor.start(self._document, Path(self._request.vm_dir))

    async def serve(self) -> None:
        """Do nothing: a toy needs no servers."""

    def open_share(
        self, share: document.ShareDevice
    ) -> contextlib.AbstractAsyncContextManager[socket.socket]:
        raise errors.StateConflict(f"nothing serves {share.location} over the agent's channel")

    def shed(self) -> None:
        """Do nothing: a toy keeps its rights."""

    async def close(self) -> None:
        """Do nothing: a toy holds no resources."""

    async def cause_of_end(self, status: int) -> errors.GaoError:
        """Return an error with its status and its last output."""
        words = self.hypervisor.last_words()
        return errors.HypervisorFailed(f"the toy {process.ended(status)}: {words}")

    async def grow_disk(self, size_bytes: int) -> None:
        """Grow the disk to that size.

        Raises:
            errors.DiskShrink: the disk is larger.
        """
        path = Path(self._request.disk)
        path.touch()
        if path.stat().st_size > size_bytes:
            raise errors.DiskShrink("the disk is larger", field="disk")
        os.truncate(path, size_bytes)

    def confinement(self) -> results.Confinement | None:
        """Return None: nothing confines a toy."""
        return None

    def guard(self, share: document.ShareDevice) -> results.Guard:
        """Report that nothing guards a share."""
        return results.Guard(uid=os.geteuid())


def create(
    request: LaunchRequest,
    facts: HostFacts,
    made: document.Document,
    owner: tasks.TaskOwner,
    on_event: events.OnEvent,
) -> Toy:
    """Make the host side of a VM."""
    return rehearse({})(request, facts, made, owner, on_event)


def rehearse(players: Mapping[str, Player]) -> Callable[..., Toy]:
    """Return a ``create`` that uses ``players`` for the other ends of the channels."""

    def create_one(
        request: LaunchRequest,
        facts: HostFacts,
        made: document.Document,
        owner: tasks.TaskOwner,
        on_event: events.OnEvent,
    ) -> Toy:
        if not isinstance(made, Document):
            raise TypeError("not the document of a toy")
        return Toy(request, made, ToyHypervisor(owner, on_event, players))

    return create_one
