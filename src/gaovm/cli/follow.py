"""Reads log files and follows them as they grow and rotate, woken by inotify: no polling.

The directory is watched rather than the file: a rotation renames the file and makes a new one of
the same name. Linux only; the calls go through ctypes because nothing else in the CLI needs them.
"""

from __future__ import annotations

import ctypes
import os
import struct

from gaovm import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_IN_MODIFY, _IN_MOVED_TO, _IN_CREATE, _IN_DELETE = 0x2, 0x80, 0x100, 0x200
_IN_DELETE_SELF, _IN_MOVE_SELF, _IN_IGNORED, _IN_ONLYDIR = 0x400, 0x800, 0x8000, 0x01000000
_GONE = _IN_DELETE_SELF | _IN_MOVE_SELF
_EVENT = struct.Struct("iIII")
_CHUNK = 64 << 10


class Watch:
    """An inotify watch of one directory; ``wait`` blocks until something in it changed."""

    def __init__(self, directory: str) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._fd: int = libc.inotify_init1(os.O_CLOEXEC)
        mask = _IN_MODIFY | _IN_MOVED_TO | _IN_CREATE | _IN_DELETE | _GONE
        if (
            self._fd < 0
            or libc.inotify_add_watch(self._fd, os.fsencode(directory), mask | _IN_ONLYDIR) < 0
        ):
            reason = os.strerror(ctypes.get_errno())
            self.close()
            raise errors.HostError(f"{directory} cannot be watched: {reason}")

    def wait(self) -> bool:
        """Block until the directory changed; False when it is gone."""
        data = os.read(self._fd, _CHUNK)
        offset = 0
        while offset < len(data):
            _, mask, _, length = _EVENT.unpack_from(data, offset)
            if mask & (_GONE | _IN_IGNORED):
                return False
            offset += _EVENT.size + length
        return True

    def close(self) -> None:
        """Release the descriptor."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def tail_offset(fd: int, lines: int) -> int:
    """The offset at which the last ``lines`` lines of an open file begin."""
    position = os.fstat(fd).st_size
    wanted = lines
    if lines <= 0:
        return position
    if position and os.pread(fd, 1, position - 1) == b"\n":
        wanted += 1
    while position > 0:
        start = max(position - _CHUNK, 0)
        block = os.pread(fd, position - start, start)
        at = len(block)
        while (at := block.rfind(b"\n", 0, at)) >= 0:
            wanted -= 1
            if wanted == 0:
                return start + at + 1
        position = start
    return 0


def read(path: Path, lines: int | None) -> Iterator[bytes]:
    """The file's bytes, or those of its last ``lines`` lines."""
    with path.open("rb", buffering=0) as file:
        if lines is not None:
            file.seek(tail_offset(file.fileno(), lines))
        while block := file.read(_CHUNK):
            yield block


def follow(path: Path, lines: int) -> Iterator[bytes]:
    """The last ``lines`` lines, then all that is written, across rotations.

    Ends when the directory is removed. A file that does not exist yet is waited for.
    """
    watch = Watch(str(path.parent))
    try:
        yield from _follow(path, lines, watch)
    finally:
        watch.close()


def _follow(path: Path, lines: int, watch: Watch) -> Iterator[bytes]:
    fd = _open(path)
    if fd >= 0:
        os.lseek(fd, tail_offset(fd, lines), os.SEEK_SET)
    try:
        while True:
            yield from _drain(fd)
            if fd >= 0 and os.fstat(fd).st_nlink == 0:
                # an open file keeps its removed directory alive, whose end would never be told
                os.close(fd)
                fd = -1
            newer = _open(path) if _replaced(path, fd) else -1
            if newer >= 0:
                # written between the drain above and the rename
                yield from _drain(fd)
                if fd >= 0:
                    os.close(fd)
                fd = newer
            elif not watch.wait():
                return
    finally:
        if fd >= 0:
            os.close(fd)


def _drain(fd: int) -> Iterator[bytes]:
    if fd < 0:
        return
    if os.fstat(fd).st_size < os.lseek(fd, 0, os.SEEK_CUR):
        os.lseek(fd, 0, os.SEEK_SET)  # truncated in place: begin again
    while block := os.read(fd, _CHUNK):
        yield block


def _replaced(path: Path, fd: int) -> bool:
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    if fd < 0:
        return True
    here = os.fstat(fd)
    return (there.st_dev, there.st_ino) != (here.st_dev, here.st_ino)


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return -1
