"""Sessions: the bulk bytes of exec, copy and tunnel, between a client and one agent stream.

A client presents a ticket that the daemon got for it: 32 random bytes, good once, for seconds.
After that both directions are relayed unparsed, with exact flow control: a client that stops
reading stalls its own stream. When the client is gone its stream is reset.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import logging
import mmap
import secrets
import select
import socket
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

from gaovm import errors
from gaovm.aio import clock, sockets, steps, tasks
from gaovm.guestmanager import files, processes, tunnel
from gaovm.guestmanager.connection import Connection
from gaovm.guestmanager.stream import Stream

logger = logging.getLogger(__name__)
MAX_FIRST_FRAME = 4096
FIRST_FRAME_LIMIT_S = 10.0
MAX_TICKETS = 256
MAX_SESSIONS = 224
CHUNK = 256 << 10
_LENGTH = struct.Struct(">I")
_OPENERS: dict[str, Callable[[Connection], Stream]] = {
    "exec": processes.open_exec,
    "tunnel": tunnel.open_tunnel,
    "copy-in": files.open_copy_in,
    "copy-out": files.open_copy_out,
    "bench-spawn": processes.open_spawn_bench,
}


class _First(msgspec.Struct, forbid_unknown_fields=True):
    ticket: str
    stream: str


class Sessions:
    """The socket for clients, and the tickets."""

    def __init__(
        self,
        owner: tasks.TaskOwner,
        path: Path,
        get_connection: Callable[[], Awaitable[Connection]],
    ) -> None:
        self._owner = owner
        self.path = path
        self._get_connection = get_connection
        self._tickets: dict[str, float] = {}
        self._free = asyncio.Semaphore(MAX_SESSIONS)
        self._sock: socket.socket | None = None

    @steps.step
    def open(self) -> None:
        """Bind the socket and accept clients."""
        self._sock = sockets.bind_unix(self.path)
        self._owner.start(self._accept(self._sock), name="sessions", finishable=False)

    @steps.step
    def close(self) -> None:
        """Remove the socket; sessions end with their streams. Idempotent."""
        self._tickets.clear()
        if self._sock is not None:
            self.path.unlink(missing_ok=True)
            self._sock = None

    def issue(self, ttl_s: float) -> str:
        """A ticket for one session that begins within ``ttl_s`` seconds.

        Raises:
            errors.StateConflict: too many tickets are open.
        """
        now = clock.monotonic()
        self._tickets = {t: end for t, end in self._tickets.items() if end > now}
        if len(self._tickets) >= MAX_TICKETS:
            raise errors.StateConflict("too many sessions are about to begin")
        ticket = secrets.token_hex(32)
        self._tickets[ticket] = now + ttl_s
        return ticket

    def _redeem(self, presented: str) -> None:
        found = None
        for ticket in self._tickets:  # all of them: the time tells nothing
            if hmac.compare_digest(ticket.encode(), presented.encode("utf-8", "replace")):
                found = ticket
        if found is None or self._tickets.pop(found) < clock.monotonic():
            raise errors.AuthError("the session's ticket is not valid, used or too old")

    async def _accept(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with sock:
            while True:
                await self._free.acquire()
                try:
                    client, _ = await loop.sock_accept(sock)
                except OSError:
                    self._free.release()
                    await asyncio.sleep(0.1)  # out of descriptors: give sessions time to end
                    continue
                except BaseException:
                    self._free.release()
                    raise
                self._owner.start(self._session(client), name="session", finishable=True)

    async def _session(self, client: socket.socket) -> None:
        try:
            client.setblocking(False)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
            try:
                async with asyncio.timeout(FIRST_FRAME_LIMIT_S):
                    first = await _read_first(client)
                self._redeem(first.ticket)
                opener = _OPENERS.get(first.stream)
                if opener is None:
                    raise errors.InvalidParams("no such stream")
                stream = opener(await self._get_connection())
            except errors.GaoError as exc:
                logger.debug("session refused: %s", exc.message)
                await _refuse(client, exc)
                return
            logger.debug("session: %s", first.stream)
            async with stream:
                await _answer(client, {"ok": True})
                await _relay(client, stream)
        except (OSError, TimeoutError, EOFError, errors.GaoError):
            return  # the client is gone, or sees the end without an EXIT frame
        finally:
            self._free.release()
            client.close()


async def _read_first(client: socket.socket) -> _First:
    (length,) = _LENGTH.unpack(await _read_exactly(client, _LENGTH.size))
    if not 0 < length <= MAX_FIRST_FRAME:
        raise EOFError
    try:
        return msgspec.json.decode(await _read_exactly(client, length), type=_First)
    except msgspec.DecodeError as exc:
        raise errors.InvalidParams(f"session: {exc}") from exc


async def _read_exactly(client: socket.socket, count: int) -> bytes:
    loop = asyncio.get_running_loop()
    data = b""
    while len(data) < count:
        part = await loop.sock_recv(client, count - len(data))
        if not part:
            raise EOFError
        data += part
    return data


async def _answer(client: socket.socket, message: dict[str, Any]) -> None:
    data = json.dumps(message).encode()
    await asyncio.get_running_loop().sock_sendall(client, _LENGTH.pack(len(data)) + data)


async def _refuse(client: socket.socket, error: errors.GaoError) -> None:
    with contextlib.suppress(OSError):
        message = {"code": error.code, "message": error.message}
        await _answer(client, {"error": message})


async def _relay(client: socket.socket, stream: Stream) -> None:
    """Relay until the guest's side has ended.

    Raises:
        EOFError: the client or the guest is gone.
    """
    try:
        async with asyncio.TaskGroup() as group:
            upstream = group.create_task(_to_guest(client, stream))
            group.create_task(_to_client(client, stream, upstream))
    except ExceptionGroup as exc:
        _, defects = exc.split((OSError, EOFError, errors.GaoError))
        if defects is not None:
            raise defects from exc
        raise EOFError from exc


async def _to_client(client: socket.socket, stream: Stream, upstream: asyncio.Task[None]) -> None:
    loop = asyncio.get_running_loop()
    while chunk := await stream.read():
        await loop.sock_sendall(client, chunk)
    client.shutdown(socket.SHUT_WR)
    upstream.cancel()


async def _to_guest(client: socket.socket, stream: Stream) -> None:
    loop = asyncio.get_running_loop()
    view = memoryview(mmap.mmap(-1, CHUNK))
    while count := await loop.sock_recv_into(client, view):
        if not await stream.write(view[:count]):
            break
    else:
        await stream.end()
    await _hung_up(client)
    raise EOFError


async def _hung_up(client: socket.socket) -> None:
    """Return when the client has closed its socket, as opposed to having ended its direction.

    An epoll with no events asked for reports the hang-up alone; the plain socket would be readable
    all the time.
    """
    with select.epoll() as watcher:
        watcher.register(client.fileno(), 0)
        await sockets.readable(watcher.fileno())
