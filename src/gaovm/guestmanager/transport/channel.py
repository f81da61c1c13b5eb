"""The agent's port as an asyncio protocol: first lines, then HTTP/2, then first lines again.

The channel outlives connections: after a guest reset, the death of an agent or a broken byte stream
it looks for the next first line. It tells its listener of each connection and of each loss.

It handles what it has read in turns, and reads nothing meanwhile: a guest that floods has to wait,
the rest of the driver does not (``pacing``).
"""

from __future__ import annotations

import asyncio
import mmap
import secrets
import socket
from typing import Protocol, cast

from gaovm import errors
from gaovm.aio import clock
from gaovm.guestmanager.transport import handshake, pacing
from gaovm.guestmanager.transport.connection import Connection
from gaovm.wire.agent.handshake import Hello

RECEIVE_BUFFER = 256 << 10
# The agent can make us answer without reading our answers. With more unsent bytes than this, the
# channel stops reading.
MAX_UNSENT = 1 << 20
GARBAGE_PAUSE_S = 1.0
REJOIN_FIRST_S, REJOIN_LONGEST_S = 0.25, 15.0
# The most bytes that one turn searches for a first line.
SEARCHED = 16 << 10
# A frame header with an impossible length. The agent's HTTP/2 server gives up on it in any state,
# reopens the port and writes its first line.
_RESYNC = b"\xff" * 9
_NOTHING = memoryview(b"")


class Listener(Protocol):
    """Hears of connections and losses. Its methods must not block or raise."""

    def on_connected(self, connection: Connection, hello: Hello) -> None: ...
    def on_lost(self, error: errors.GaoError) -> None: ...


class Channel(asyncio.BufferedProtocol):
    """One virtio-serial port; ``connection`` is None while there is none."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        # Anonymous memory: the kernel only gives it the pages that messages touch.
        self._view = memoryview(mmap.mmap(-1, RECEIVE_BUFFER))
        self._pending = _NOTHING
        self._fresh = False  # whether the pending bytes start a read
        self._transport: asyncio.Transport | None = None
        self._handshake = handshake.Handshake(secrets.token_hex(16))
        self._pace = pacing.Pace()
        self._rejoining = pacing.Rejoining(first_s=REJOIN_FIRST_S, longest_s=REJOIN_LONGEST_S)
        self._resume: asyncio.TimerHandle | None = None
        self._unread = False  # waiting for the agent to read
        self._began_at = 0.0
        self.connection: Connection | None = None

    @classmethod
    async def open(cls, sock: socket.socket, listener: Listener) -> Channel:
        """Make a channel on a connected stream socket, and take over the socket."""
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        _, protocol = await loop.create_connection(lambda: cls(listener), sock=sock)
        return protocol

    def reset(self, reason: str) -> None:
        """End all calls and wait for a first line, because the guest has restarted."""
        self._drop(errors.GuestUnavailable(reason))

    def close(self) -> None:
        """End all calls and close the socket. Idempotent."""
        self._drop(errors.GuestUnavailable("the VM is stopping"))
        self._pending = _NOTHING
        if self._resume is not None:
            self._resume.cancel()
        if self._transport is not None:
            self._transport.abort()

    # asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._view

    def buffer_updated(self, nbytes: int) -> None:
        self._pending = self._view[:nbytes]
        self._fresh = True
        self._turn()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._drop(errors.GuestUnavailable("the guest is gone"))
        self._pending = _NOTHING
        self._transport = None

    def pause_writing(self) -> None:
        if self.connection is not None:
            self.connection.set_paused(True)

    def resume_writing(self) -> None:
        if self.connection is not None:
            self.connection.set_paused(False)
        if self._unread:
            self._turn()

    # turns

    def _turn(self) -> None:
        """Handle as many pending bytes as one turn may; then read on, now or later."""
        self._resume = None
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        cost = 0
        while self._pending and cost < pacing.TURN and not self._rejoining.left_s:
            cost += self._step(pacing.TURN - cost)
        wait_s = max(self._pace.spend(cost), self._rejoining.left_s)
        self._unread = transport.get_write_buffer_size() > MAX_UNSENT
        if self._unread:
            transport.pause_reading()  # until ``resume_writing``
        elif self._pending or wait_s:
            transport.pause_reading()
            loop = asyncio.get_running_loop()
            self._resume = loop.call_later(wait_s, self._turn)
        else:
            transport.resume_reading()

    def _step(self, budget: int) -> int:
        """Handle some of the pending bytes and return their cost."""
        fresh, self._fresh = self._fresh, False
        if self.connection is not None and fresh and self._is_first_line(self._pending):
            self._lose(errors.GuestUnavailable("the agent has restarted"))
            return 1
        if self.connection is not None:
            return self._receive(self.connection, budget)
        return self._search()

    def _search(self) -> int:
        data = self._pending[:SEARCHED]
        try:
            answer = self._handshake.feed(data)
        except errors.GuestProtocolError as exc:
            # The channel reads a guest that only sends garbage at 1 MiB a second.
            self._pending = self._pending[len(data) :]
            self._rejoining.hold(GARBAGE_PAUSE_S)
            self._listener.on_lost(exc)
            return pacing.TURN
        self._write(answer)
        self._pending = self._pending[len(data) - len(self._handshake.rest) :]
        if self._handshake.done:
            self._begin()
        return pacing.TURN * len(data) // SEARCHED + 1

    @staticmethod
    def _is_first_line(data: memoryview) -> bool:
        """Tell whether a received chunk is the first line of a new agent instead of HTTP/2.

        Only a chunk that begins with the line counts: content that contains such a line arrives
        inside frames.
        """
        if data[: len(handshake.MAGIC)] != handshake.MAGIC:
            return False
        line = bytes(data[: handshake.MAX_LINE]).split(b"\n", 1)[0]
        return handshake.parse_hello(line) is not None

    def _begin(self) -> None:
        hello = self._handshake.hello
        self._handshake = handshake.Handshake(secrets.token_hex(16))
        self._began_at = clock.monotonic()
        connection = Connection(self._write)
        self.connection = connection
        connection.start()
        if hello is not None:
            self._listener.on_connected(connection, hello)

    def _receive(self, connection: Connection, budget: int) -> int:
        try:
            count, cost = connection.receive(self._pending, budget)
        except errors.GaoError as exc:
            self._write(_RESYNC)
            # The bytes that broke HTTP/2 may be the first line of the agent's successor, so they
            # stay pending and the channel searches them.
            self._lose(exc)
            return 1
        self._pending = self._pending[count:]
        return cost

    def _lose(self, error: errors.GaoError) -> None:
        """Drop a connection that the agent has ended; make an agent that repeats this wait."""
        self._rejoining.lost(clock.monotonic() - self._began_at)
        self._drop(error)

    def _drop(self, error: errors.GaoError) -> None:
        connection, self.connection = self.connection, None
        self._handshake = handshake.Handshake(secrets.token_hex(16))
        if connection is not None:
            connection.lost(error)
            self._listener.on_lost(error)

    def _write(self, data: bytes) -> None:
        if data and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)
