"""Read the bytes that a hypervisor and its children write, such as their last words.

A bounded tail keeps the latest bytes for error messages; a bounded log gets all bytes.
"""

from __future__ import annotations

import asyncio
import logging
import mmap
import re
import socket
from typing import NamedTuple, Protocol, cast

TAIL_BYTES = 64 << 10
READ_BYTES = 16 << 10
OVERLAP = 64
MAX_LINE = 4096
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>()][A-Z0-9]?|[\x00-\x08\x0b-\x1f\x7f]")


class Tail:
    """The last bytes of an endless text."""

    def __init__(self, limit: int = TAIL_BYTES) -> None:
        self._limit = limit
        self._data = bytearray()

    def add(self, data: bytes | memoryview) -> None:
        """Append, and drop the oldest bytes above the limit."""
        self._data += data
        if len(self._data) > 2 * self._limit:
            del self._data[: -self._limit]

    def lines(self, count: int) -> list[str]:
        """Return the last lines that are not empty, without terminal escapes."""
        text = bytes(self._data[-self._limit :]).decode("utf-8", "replace")
        lines = (_ESCAPES.sub("", line).strip() for line in text.split("\n"))
        return [line[:1000] for line in lines if line][-count:]

    def find(self, pattern: re.Pattern[bytes], fresh: int) -> bool:
        """Whether the last ``fresh`` bytes, or the bytes just before them, match the pattern."""
        return pattern.search(self._data, max(0, len(self._data) - fresh - OVERLAP)) is not None

    def last(self, pattern: re.Pattern[bytes]) -> re.Match[bytes] | None:
        """Return the last match in all bytes that the tail keeps."""
        found = None
        for found in pattern.finditer(self._data):  # noqa: B007  (the last one is wanted)
            pass
        return found


class Channels(NamedTuple):
    """Our ends of the byte channels of a VM that has just started."""

    console: socket.socket
    agent: socket.socket


class Log(Protocol):
    """A log to which a pipe appends its bytes."""

    def write(self, data: bytes | memoryview) -> None:
        """Append."""
        ...

    def close(self) -> None:
        """Close it. Idempotent."""
        ...


class Pipe(asyncio.BufferedProtocol):
    """Reads one socket to its end into a tail and, if given, a log."""

    def __init__(self, log: Log | None = None) -> None:
        self.tail = Tail()
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._log = log
        self._view = memoryview(mmap.mmap(-1, READ_BYTES))
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._view

    def buffer_updated(self, nbytes: int) -> None:
        data = self._view[:nbytes]
        self.tail.add(data)
        if self._log is not None:
            self._log.write(data)
        self.on_bytes(nbytes)

    def on_bytes(self, count: int) -> None:
        """Called after the tail got ``count`` bytes."""

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_result(None)

    def close(self) -> None:
        """Stop reading. Idempotent."""
        if self._transport is not None:
            self._transport.abort()
        if self._log is not None:
            self._log.close()

    async def attach(self, sock: socket.socket) -> None:
        """Begin to read a connected stream socket, which the pipe owns from now on."""
        sock.setblocking(False)
        await asyncio.get_running_loop().create_connection(lambda: self, sock=sock)


class LastWords(Pipe):
    """A child's stdout and stderr: each line becomes a line of the driver's log."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._logger = logging.getLogger(f"gaovm.{name}")
        self._partial = b""

    def on_bytes(self, count: int) -> None:
        data = self._partial + bytes(self._view[:count])
        *lines, self._partial = data.replace(b"\r", b"\n").split(b"\n")
        if len(self._partial) > MAX_LINE:
            lines.append(self._partial)
            self._partial = b""
        for line in lines:
            self._tell(line)

    def connection_lost(self, exc: Exception | None) -> None:
        self._tell(self._partial)
        self._partial = b""
        super().connection_lost(exc)

    def _tell(self, line: bytes) -> None:
        text = line.decode("utf-8", "replace").strip()
        if text:
            self._logger.warning("%s", text)
