"""One HTTP/2 stream to the agent, seen by its single reader and its single writer.

Flow control is exact: the stream's window is refilled only as ``read`` hands bytes on, so a slow
consumer stalls its own stream and nothing else; ``write`` waits for the agent's windows. Small
pieces are kept as one: a guest that sends two bytes at a time fills no memory with our objects.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

from gaovm import errors

#: What the agent may send before anybody has read: every stream, and one that is read busily.
NARROW, WIDE = 64 << 10, 1 << 20
#: Pieces below this are put together, up to the size of one read.
SMALL = 4 << 10
LARGEST = 64 << 10


def again(error: errors.GaoError) -> errors.GaoError:
    """A copy to raise: one instance raised in many tasks would gather all their tracebacks."""
    return type(error)(error.message)


class Link(Protocol):
    """What a stream needs of its connection."""

    def sendable(self, stream_id: int) -> int: ...
    def send(self, stream_id: int, data: memoryview, *, end: bool) -> None: ...
    def refill(self, stream_id: int, count: int) -> None: ...
    def cancel(self, stream_id: int) -> None: ...


class Stream:
    """A full-duplex byte stream; made by ``Connection.open``."""

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
        """The next bytes of the agent; ``b""`` at the end of its side.

        Raises:
            errors.GuestUnavailable, errors.GuestProtocolError: connection or stream broke; bytes
                that came before are given first.
        """
        if self._in_a_row >= LARGEST:  # there is always more: others have their turn
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
        """Send all of ``data``, waiting for the agent's windows.

        Returns False when the agent takes no more on this stream; the bytes are then dropped.

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
        """End our side; the agent's goes on. Idempotent."""
        if not self._write_closed and self._error is None:
            await self.write(b"", end=True)

    def reset(self) -> None:
        """Cancel what is left of the stream in both directions. Idempotent."""
        self._link.cancel(self.id)

    async def _wait_writable(self) -> None:
        self._writer = asyncio.get_running_loop().create_future()
        try:
            await self._writer
        finally:
            self._writer = None

    # called by the connection

    def on_data(self, data: bytes) -> None:
        """Bytes arrived; bounded by the stream window."""
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
        """The agent may send more: the window has grown to ``WIDE``."""
        self.wide = True

    def on_end(self) -> None:
        """The agent ended its side."""
        self._ended = True
        self._wake_reader()

    def on_write_closed(self) -> None:
        """The agent takes no more bytes."""
        self._write_closed = True
        self.wake_writer()

    def on_error(self, error: errors.GaoError) -> None:
        """Connection or stream broke; a stream that has ended stays ended."""
        if not self._ended:
            self._error = error
        self._write_closed = True
        self._wake_reader()
        self.wake_writer()

    def wake_writer(self) -> None:
        """The window or the transport may have room again."""
        if self._writer is not None and not self._writer.done():
            self._writer.set_result(None)

    def _wake_reader(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    @property
    def finished(self) -> bool:
        """Both directions are over."""
        return (self._ended or self._error is not None) and self._write_closed
