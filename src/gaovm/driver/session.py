"""Sessions: the bulk bytes of exec, copy and tunnel, between a client and one agent stream.

A client presents a ticket that the daemon got for it: 32 random bytes, valid once and for seconds.
After that the driver relays both directions unparsed, with exact flow control: a client that stops
reading stalls only its own stream. When the client is gone, the driver resets its stream.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import mmap
import secrets
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from gaovm import errors
from gaovm.aio import clock, sockets, steps, tasks
from gaovm.guestmanager import files, ports, processes
from gaovm.guestmanager.transport.connection import Connection
from gaovm.guestmanager.transport.stream import Stream
from gaovm.platform import hangups
from gaovm.wire import sessions
from gaovm.wire.driver.opening import Answer, Opening, Refusal

logger = logging.getLogger(__name__)
FIRST_FRAME_LIMIT_S = 10.0
MAX_TICKETS = 256
MAX_SESSIONS = 224
CHUNK = 256 << 10
# by stream: the kind of ticket that it needs, and the function that opens it
_OPENERS: dict[str, tuple[str, Callable[[Connection], Stream]]] = {
    "exec": ("exec", processes.open_exec),
    "tunnel": ("tunnel", ports.open_tunnel),
    "ssh": ("ssh", processes.open_ssh),
    "copy-in": ("copy", files.open_copy_in),
    "copy-out": ("copy", files.open_copy_out),
}


class _Ticket(msgspec.Struct, frozen=True):
    ends_at: float
    kind: str | None


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
        self._tickets: dict[str, _Ticket] = {}
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

    def issue(self, ttl_s: float, kind: str | None) -> str:
        """Return a ticket for one session that begins within ``ttl_s`` seconds.

        ``kind`` (exec, copy, tunnel or ssh) is all that it opens. None, which a daemon from before
        kinds sends, opens any.

        Raises:
            errors.StateConflict: too many tickets are open.
        """
        now = clock.monotonic()
        self._tickets = {t: each for t, each in self._tickets.items() if each.ends_at > now}
        if len(self._tickets) >= MAX_TICKETS:
            raise errors.StateConflict("too many sessions are about to begin")
        ticket = secrets.token_hex(32)
        self._tickets[ticket] = _Ticket(now + ttl_s, kind)
        return ticket

    def _redeem(self, first: Opening) -> Callable[[Connection], Stream]:
        """Return what opens the stream. Uses the ticket up, even if it is for another kind."""
        found, presented = None, first.ticket
        for known in self._tickets:  # compare with all: the time taken must reveal nothing
            if hmac.compare_digest(known.encode(), presented.encode("utf-8", "replace")):
                found = known
        ticket = None if found is None else self._tickets.pop(found)
        if ticket is None or ticket.ends_at < clock.monotonic():
            raise errors.AuthError("the session's ticket is not valid, used or too old")
        if first.stream not in _OPENERS:
            raise errors.InvalidParams("no such stream")
        kind, opener = _OPENERS[first.stream]
        if ticket.kind not in (None, kind):
            raise errors.AuthError(f"the session's ticket is for {ticket.kind}, not for {kind}")
        return opener

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
                opener = self._redeem(first)
                stream = opener(await self._get_connection())
            except errors.GaoError as exc:
                logger.debug("session refused: %s", exc.message)
                await _refuse(client, exc)
                return
            logger.debug("session: %s", first.stream)
            async with stream:
                await _answer(client, Answer(ok=True))
                await _relay(client, stream)
        except (OSError, TimeoutError, EOFError, errors.GaoError):
            return  # the client is gone, or sees the end without an EXIT frame
        finally:
            self._free.release()
            client.close()


async def _read_first(client: socket.socket) -> Opening:
    (length,) = sessions.LENGTH.unpack(await _read_exactly(client, sessions.LENGTH.size))
    if not 0 < length <= sessions.MAX_OPENING_BYTES:
        raise EOFError
    try:
        return msgspec.json.decode(await _read_exactly(client, length), type=Opening)
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


async def _answer(client: socket.socket, answer: Answer) -> None:
    data = sessions.frame(msgspec.json.encode(answer))
    await asyncio.get_running_loop().sock_sendall(client, data)


async def _refuse(client: socket.socket, error: errors.GaoError) -> None:
    with contextlib.suppress(OSError):
        why = Refusal(code=error.code, message=error.message)
        await _answer(client, Answer(error=why))


async def _relay(client: socket.socket, stream: Stream) -> None:
    """Relay until the guest's side ends.

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
    """Return when the client has closed its socket, and not just ended its direction."""
    with contextlib.closing(hangups.watch(client)) as watched:
        await sockets.readable(watched.fileno())
