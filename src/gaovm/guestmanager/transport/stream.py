"""One HTTP/2 stream to the agent, for one reader and one writer.

Flow control is exact: only ``read`` refills the stream's window, as it returns bytes, so a slow
consumer stalls its own stream and no other; ``write`` waits for the agent's windows. The stream
joins small pieces: a guest that sends two bytes at a time does not fill our memory with objects.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

from gaovm import errors

#: Bytes that the agent may send before anybody reads: on every stream, and on a wide one.
NARROW, WIDE = 64 << 10, 1 << 20
#: The stream joins pieces below SMALL until they have LARGEST bytes.
SMALL = 4 << 10
LARGEST = 64 << 10


def again(error: errors.GaoError) -> errors.GaoError:
    """Copy an error, to raise it: one instance, raised in many tasks, would keep all tracebacks."""
    return type(error)(error.message)


class Link(Protocol):
    """What a stream needs from its connection."""

    def sendable(self, stream_id: int) -> int: ...
    def send(self, stream_id: int, data: memoryview, *, end: bool) -> None: ...
    def refill(self, stream_id: int, count: int) -> None: ...
    def cancel(self, stream_id: int) -> None: ...


class Stream:
    """A full-duplex byte stream; ``Connection.open`` makes one."""

    def __init__(self, link: Link, stream_id: int) -> None:
        self._link = link
        self.id = stream_id
        self._chunks: deque[bytes] = deque()
        self._small = bytearray()
        self._unacknowledged = self._in_a_row = 0
        self.wide = False
        self._ended = False
        self._error: errors.GaoError | None = None
        self._write_closed = False
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self.status: int | None = None

    async def __aenter__(self) -> Stream:
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.reset()

    async def read(self) -> bytes:
        """Return the next bytes of the agent; ``b""`` at the end of its side.

        Raises:
            errors.GuestUnavailable, errors.GuestProtocolError: the connection or the stream broke.
                ``read`` first returns the bytes that came before that.
        """
        if self._in_a_row >= LARGEST:  # the agent sends without a pause: let other tasks run
            self._in_a_row = 0
            await asyncio.sleep(0)
        while not (self._chunks or self._small):
            if self._error is not None:
                raise again(self._error)
            if self._ended:
                return b""
            self._reader = asyncio.get_running_loop().create_future()
            self._in_a_row = 0
            try:
                await self._reader
            finally:
                self._reader = None
        if not self._chunks:
            self._gather()
        chunk = self._chunks.popleft()
        self._in_a_row += len(chunk)
        self._unacknowledged += len(chunk)
        refill = (WIDE if self.wide else NARROW) // 4
        if self._unacknowledged >= refill and not self._ended and self._error is None:
            self._link.refill(self.id, self._unacknowledged)
            self._unacknowledged = 0
        return chunk

    async def write(self, data: bytes | memoryview, *, end: bool = False) -> bool:
        """Send all of ``data``; wait for the agent's windows.

        Returns False, and drops the bytes, when the agent takes no more on this stream.

        Raises:
            errors.GuestUnavailable: the connection broke.
        """
        view = memoryview(data)
        while view or end:
            if self._error is not None:
                raise again(self._error)
            if self._write_closed:
                return False
            size = self._link.sendable(self.id)
            if size <= 0 and view:
                await self._wait_writable()
                continue
            part, view = view[:size], view[size:]
            last = end and not view
            self._link.send(self.id, part, end=last)
            if last:
                self._write_closed = True
                break
        return not self._write_closed or end

    async def end(self) -> None:
        """End our side; the agent's side goes on. Idempotent."""
        if not self._write_closed and self._error is None:
            await self.write(b"", end=True)

    def reset(self) -> None:
        """Cancel the stream in both directions. Idempotent."""
        self._link.cancel(self.id)

    async def _wait_writable(self) -> None:
        self._writer = asyncio.get_running_loop().create_future()
        try:
            await self._writer
        finally:
            self._writer = None

    # called by the connection

    def on_data(self, data: bytes) -> None:
        """Keep bytes that have arrived; the stream's window bounds them."""
        if len(data) < SMALL:
            self._small += data
        else:
            self._gather()
            self._chunks.append(data)
        if len(self._small) >= LARGEST:
            self._gather()
        if data:
            self._wake_reader()

    def _gather(self) -> None:
        if self._small:
            self._chunks.append(bytes(self._small))
            self._small.clear()

    def widen(self) -> None:
        """Note that the window has grown to ``WIDE``."""
        self.wide = True

    def on_end(self) -> None:
        """Note that the agent has ended its side."""
        self._ended = True
        self._wake_reader()

    def on_write_closed(self) -> None:
        """Note that the agent takes no more bytes."""
        self._write_closed = True
        self.wake_writer()

    def on_error(self, error: errors.GaoError) -> None:
        """End the stream with an error, unless the agent has ended it before."""
        if not self._ended:
            self._error = error
        self._write_closed = True
        self._wake_reader()
        self.wake_writer()

    def wake_writer(self) -> None:
        """Let the writer look again: the window or the transport may have room."""
        if self._writer is not None and not self._writer.done():
            self._writer.set_result(None)

    def _wake_reader(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    @property
    def finished(self) -> bool:
        """Whether both directions are over."""
        return (self._ended or self._error is not None) and self._write_closed
