"""The agent's port as an asyncio protocol: first lines, then HTTP/2, then first lines again.

The channel outlives connections: after a guest reset, an agent that died or a broken byte stream
it looks for the next first line. Its listener is told of each connection and of each loss.
"""

from __future__ import annotations

import asyncio
import mmap
import secrets
import socket
from typing import Protocol, cast

from gaovm import errors
from gaovm.guestmanager import handshake
from gaovm.guestmanager.connection import Connection

RECEIVE_BUFFER = 256 << 10
MAX_UNSENT = 8 << 20
GARBAGE_PAUSE_S = 1.0
# A frame header with an impossible length: whatever the agent's HTTP/2 server is doing, it gives
# up, reopens the port and says its first line.
_RESYNC = b"\xff" * 9


class Listener(Protocol):
    """Who is told. Neither call may block or raise."""

    def on_connected(self, connection: Connection, hello: handshake.Hello) -> None: ...
    def on_lost(self, error: errors.GaoError) -> None: ...


class Channel(asyncio.BufferedProtocol):
    """One virtio-serial port; ``connection`` is None while there is none."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        # Anonymous memory: pages that no message needs are never touched.
        self._view = memoryview(mmap.mmap(-1, RECEIVE_BUFFER))
        self._transport: asyncio.Transport | None = None
        self._handshake = handshake.Handshake(secrets.token_hex(16))
        self._resume: asyncio.TimerHandle | None = None
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
        data = self._view[:nbytes]
        if self.connection is not None and not self._is_first_line(data):
            self._receive(self.connection, data)
            return
        if self.connection is not None:
            self._drop(errors.GuestUnavailable("the agent has started anew"))
        self._search(data)

    def _search(self, data: bytes | memoryview) -> None:
        try:
            answer = self._handshake.feed(data)
        except errors.GuestProtocolError as exc:
            self._slow_down(exc)
            return
        self._write(answer)
        if self._handshake.done:
            self._begin()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._drop(errors.GuestUnavailable("the guest is gone"))
        self._transport = None

    def pause_writing(self) -> None:
        if self.connection is not None:
            self.connection.set_paused(True)

    def resume_writing(self) -> None:
        if self.connection is not None:
            self.connection.set_paused(False)

    # the two modes

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
        rest, hello = self._handshake.rest, self._handshake.hello
        self._handshake = handshake.Handshake(secrets.token_hex(16))
        connection = Connection(self._write)
        self.connection = connection
        connection.start()
        if hello is not None:
            self._listener.on_connected(connection, hello)
        if rest:
            self._receive(connection, rest)

    def _receive(self, connection: Connection, data: bytes | memoryview) -> None:
        try:
            connection.receive(data)
        except errors.GaoError as exc:
            self._write(_RESYNC)
            self._drop(exc)
            # What broke HTTP/2 may be the first line of the agent's successor.
            self._search(data)

    def _drop(self, error: errors.GaoError) -> None:
        connection, self.connection = self.connection, None
        self._handshake = handshake.Handshake(secrets.token_hex(16))
        if connection is not None:
            connection.lost(error)
            self._listener.on_lost(error)

    def _slow_down(self, error: errors.GaoError) -> None:
        """A guest that only sends garbage is read at 1 MiB a second: it must not cost a core."""
        self._listener.on_lost(error)
        self._handshake = handshake.Handshake(secrets.token_hex(16))
        if self._transport is not None:
            self._transport.pause_reading()
            loop = asyncio.get_running_loop()
            self._resume = loop.call_later(GARBAGE_PAUSE_S, self._resume_reading)

    def _resume_reading(self) -> None:
        self._resume = None
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def _write(self, data: bytes) -> None:
        if not data or self._transport is None or self._transport.is_closing():
            return
        self._transport.write(data)
        if self._transport.get_write_buffer_size() > MAX_UNSENT:
            # The agent makes us answer and reads nothing.
            self._transport.abort()
