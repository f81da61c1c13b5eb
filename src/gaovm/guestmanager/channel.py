"""The agent's port as an asyncio protocol: first lines, then HTTP/2, then first lines again.

The channel outlives connections: after a guest reset, an agent that died or a broken byte stream
it looks for the next first line. Its listener is told of each connection and of each loss.

What is read is worked off in turns, and nothing is read meanwhile: a guest that floods waits, the
rest of the driver does not (``pacing``).
"""

from __future__ import annotations

import asyncio
import mmap
import secrets
import socket
from typing import Protocol, cast

from gaovm import errors
from gaovm.aio import clock
from gaovm.guestmanager import handshake, pacing
from gaovm.guestmanager.connection import Connection
from gaovm.wire.agent.handshake import Hello

RECEIVE_BUFFER = 256 << 10
# Answers that the agent makes us give and does not read: above this nothing more is read either.
MAX_UNSENT = 1 << 20
GARBAGE_PAUSE_S = 1.0
REJOIN_FIRST_S, REJOIN_LONGEST_S = 0.25, 15.0
# Bytes that are looked at for a first line in one turn, and what looking costs.
SEARCHED = 16 << 10
# A frame header with an impossible length: whatever the agent's HTTP/2 server is doing, it gives
# up, reopens the port and says its first line.
_RESYNC = b"\xff" * 9
_NOTHING = memoryview(b"")


class Listener(Protocol):
    """Who is told. Neither call may block or raise."""

    def on_connected(self, connection: Connection, hello: Hello) -> None: ...
    def on_lost(self, error: errors.GaoError) -> None: ...


class Channel(asyncio.BufferedProtocol):
    """One virtio-serial port; ``connection`` is None while there is none."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        # Anonymous memory: pages that no message needs are never touched.
        self._view = memoryview(mmap.mmap(-1, RECEIVE_BUFFER))
        self._pending = _NOTHING
        self._fresh = False  # the pending bytes are a read's first
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
        """A channel on a connected stream socket, which it owns from now on."""
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        _, protocol = await loop.create_connection(lambda: cls(listener), sock=sock)
        return protocol

    def reset(self, reason: str) -> None:
        """The guest has started anew: end what is pending, wait for a first line."""
        self._drop(errors.GuestUnavailable(reason))

    def close(self) -> None:
        """End everything. Idempotent."""
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
        """Work off pending bytes, as much as one turn may; then read on, now or later."""
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
        """Take some of the pending bytes; returns what they cost."""
        fresh, self._fresh = self._fresh, False
        if self.connection is not None and fresh and self._is_first_line(self._pending):
            self._lose(errors.GuestUnavailable("the agent has started anew"))
            return 1
        if self.connection is not None:
            return self._receive(self.connection, budget)
        return self._search()

    def _search(self) -> int:
        data = self._pending[:SEARCHED]
        try:
            answer = self._handshake.feed(data)
        except errors.GuestProtocolError as exc:
            # A guest that only sends garbage is read at 1 MiB a second.
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
        """Whether a received chunk is the first line of a new agent amid HTTP/2.

        Only a chunk that begins with one is looked at: content that merely contains such a line
        arrives inside frames.
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
            # What broke HTTP/2 may be the first line of the agent's successor: it is searched.
            self._lose(exc)
            return 1
        self._pending = self._pending[count:]
        return cost

    def _lose(self, error: errors.GaoError) -> None:
        """The agent ended this connection; one that does it again and again waits."""
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
