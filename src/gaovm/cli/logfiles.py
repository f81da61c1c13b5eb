"""Read a log and its rotated generations as one text: forwards, backwards, or as it grows.

``path`` is the file being written, ``path.1`` the one before it, and so on. We open the newest
first: a rotation meanwhile can show a file twice, which we notice, but never hides one.
"""

from __future__ import annotations

import os
import struct
from bisect import bisect_right

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    # bytes of a line with its end, and where it begins: inode and offset of the file
    Line = tuple[bytes, int, int]

MAX_GENERATIONS = 9
CHUNK = 64 << 10
# We hand on a longer line in pieces.
MAX_LINE = 1 << 20
_PAIR = struct.Struct("<QQ")


class LogFile:
    """Hold the generations that exist now, up to their present ends. A context manager."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._parts: list[tuple[int, int, int]] = []  # oldest first: descriptor, inode, size
        seen = set()
        for number in range(MAX_GENERATIONS + 1):
            fd = open_file(generation(path, number))
            if fd < 0:
                if number:
                    break
                continue
            facts = os.fstat(fd)
            if facts.st_ino in seen:
                os.close(fd)
                continue
            seen.add(facts.st_ino)
            self._parts.insert(0, (fd, facts.st_ino, facts.st_size))

    def __enter__(self) -> LogFile:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __bool__(self) -> bool:
        return bool(self._parts)

    def close(self) -> None:
        """Release the descriptors. Idempotent."""
        for fd, _, _ in self._parts:
            os.close(fd)
        self._parts = []

    def blocks(self) -> Iterator[bytes]:
        """Yield all bytes, oldest first."""
        for fd, _, size in self._parts:
            at = 0
            while at < size and (block := os.pread(fd, min(CHUNK, size - at), at)):
                at += len(block)
                yield block

    def lines(self, since: float = 0) -> Iterator[Line]:
        """Yield every line, oldest first; skip files last written before ``since`` (epoch)."""
        cutter = Cutter()
        for fd, inode, size in self._parts:
            if os.fstat(fd).st_mtime < since:
                continue
            at = 0
            while at < size and (block := os.pread(fd, min(CHUNK, size - at), at)):
                yield from cutter.add(block, inode, at)
                at += len(block)
        yield from cutter.rest()

    def lines_back(self) -> Iterator[Line]:
        """Yield every line, newest first."""
        rest, after = b"", 0
        for fd, inode, size in reversed(self._parts):
            position = size
            if rest and size and os.pread(fd, 1, size - 1) == b"\n":
                yield rest, after, 0  # the newer file began with a new line
                rest = b""
            while position > 0:
                start = max(position - CHUNK, 0)
                data = os.pread(fd, position - start, start) + rest
                position, rest = start, b""
                end = len(data)
                while (at := data.rfind(b"\n", 0, end - 1)) >= 0:
                    yield data[at + 1 : end], inode, start + at + 1
                    end = at + 1
                rest = data[:end]
                if len(rest) > MAX_LINE:
                    yield rest, inode, start
                    rest = b""
            after = inode if size else after
        if rest:
            yield rest, after, 0

    def last(self, count: int) -> list[bytes]:
        """Return the last ``count`` lines, oldest first."""
        found: list[bytes] = []
        if count > 0:
            for data, _, _ in self.lines_back():
                found.append(data)
                if len(found) == count:
                    break
        found.reverse()
        return found

    def tail(self) -> Tail:
        """Follow what is written from now on. Takes the newest file over, so call it last."""
        tail = Tail(self.path)
        if self._parts:
            fd, inode, size = self._parts.pop()
            tail.begin(fd, inode, size)
        return tail


class Cutter:
    """Cut blocks into lines."""

    def __init__(self) -> None:
        self._data = b""
        self._inode = self._offset = 0

    def add(self, block: bytes, inode: int, offset: int) -> Iterator[Line]:
        """Return the lines that end in this block, which was read at ``offset`` of a file."""
        if not self._data:
            self._inode, self._offset = inode, offset
        data, base = self._data + block, offset - len(self._data)
        at = 0
        while (end := data.find(b"\n", at) + 1) > 0:
            yield data[at:end], self._inode, self._offset
            at = end
            self._inode, self._offset = inode, base + at
        self._data = data[at:]
        if len(self._data) > MAX_LINE:
            yield from self.rest()

    def rest(self) -> Iterator[Line]:
        """Return the line that has no end yet, if any; the next block begins a new line."""
        if self._data:
            yield self._data, self._inode, self._offset
            self._data = b""

    @property
    def pending(self) -> bool:
        """Tell whether the last line has no end yet."""
        return bool(self._data)


class Tail:
    """Follow a log from its present end, through any number of rotations."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd, self._inode, self._at = -1, 0, 0

    def begin(self, fd: int, inode: int, at: int) -> None:
        """Go on in an open file; this object closes it from now on."""
        self.close()
        self._fd, self._inode, self._at = fd, inode, at

    def close(self) -> None:
        """Release the descriptor. Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def blocks(self) -> Iterator[tuple[bytes, int, int]]:
        """Yield what came since the last call: bytes, inode, offset."""
        while True:
            yield from self._drain()
            if self._fd >= 0 and os.fstat(self._fd).st_nlink == 0:
                # an open file keeps its removed directory alive, and nothing would report its end
                self.close()
            successor = self._successor()
            if successor < 0:
                return
            # written between the drain above and the rename
            yield from self._drain()
            self.begin(successor, os.fstat(successor).st_ino, 0)

    def _drain(self) -> Iterator[tuple[bytes, int, int]]:
        if self._fd < 0:
            return
        if os.fstat(self._fd).st_size < self._at:
            self._at = 0  # truncated in place: begin again
        while block := os.pread(self._fd, CHUNK, self._at):
            yield block, self._inode, self._at
            self._at += len(block)

    def _successor(self) -> int:
        """Open the file that was begun after ours; return -1 when ours is the newest."""
        found = -1
        for number in range(MAX_GENERATIONS + 1):
            fd = open_file(generation(self._path, number))
            if fd < 0:
                if number:
                    break
                continue
            if self._fd >= 0 and os.path.sameopenfile(fd, self._fd):
                os.close(fd)
                return found
            if found >= 0:
                os.close(found)
            found = fd
        return found  # ours is not among them: the oldest was begun after it


class Times:
    """Look up when each byte of a log was written whose lines have no times."""

    def __init__(self, path: Path) -> None:
        self._path = path.with_suffix(".times")
        self._known: dict[int, tuple[list[int], list[int]]] = {}

    def find(self, inode: int, offset: int) -> float | None:
        """Return when this byte of this file came, in seconds since 1970; None if unknown."""
        offsets, times = self._known.get(inode, ([], []))
        if not offsets or offset > offsets[-1]:
            self._load(inode)
            offsets, times = self._known.get(inode, ([], []))
        at = bisect_right(offsets, offset)
        return times[at - 1] / 1000 if at else None

    def _load(self, inode: int) -> None:
        for number in range(MAX_GENERATIONS + 1):
            fd = open_file(generation(self._path, number))
            if fd < 0:
                continue
            with open(fd, "rb") as file:
                data = file.read(_PAIR.size)
                if len(data) < _PAIR.size or _PAIR.unpack(data)[0] != inode:
                    continue
                offsets, times = self._known.setdefault(inode, ([], []))
                file.seek(_PAIR.size * (1 + len(offsets)))
                data = file.read()
            for at, ms in _PAIR.iter_unpack(data[: len(data) // _PAIR.size * _PAIR.size]):
                offsets.append(at)
                times.append(ms)
            return


def generation(path: Path, number: int) -> Path:
    """Return the path of the file that was rotated ``number`` times; 0: the one being written."""
    return path.with_name(f"{path.name}.{number}") if number else path


def open_file(path: Path) -> int:
    """Open a file to read; return its descriptor, or -1 when it is not there."""
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return -1
