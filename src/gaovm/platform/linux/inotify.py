"""Notices by inotify(7)."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import struct
from collections.abc import Iterable

from gaovm import errors

# from sys/inotify.h; the flags of inotify_init1(2) are those of open(2)
_MODIFY, _ATTRIB, _MOVED_TO, _CREATE, _DELETE = 0x2, 0x4, 0x80, 0x100, 0x200
_DELETE_SELF, _MOVE_SELF, _IGNORED, _ONLYDIR = 0x400, 0x800, 0x8000, 0x01000000
_GONE = _DELETE_SELF | _MOVE_SELF
#: ``struct inotify_event``: watch, mask, cookie, length of the name that follows.
EVENT = struct.Struct("iIII")
_CHUNK = 64 << 10


class Inotify:
    """Implements ``notices.Notices``."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd: int = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise errors.HostError(f"files cannot be watched: {_last_error()}")

    def add(self, path: str, mask: int) -> int:
        """Watch one more path; return the watch's number, which its events carry.

        Raises:
            errors.HostError: the path cannot be watched, or does not exist.
        """
        number: int = self._libc.inotify_add_watch(self._fd, os.fsencode(path), mask)
        if number < 0:
            raise errors.HostError(f"{path} cannot be watched: {_last_error()}")
        return number

    def remove(self, number: int) -> None:
        """Drop a watch. One that is gone already is no error."""
        self._libc.inotify_rm_watch(self._fd, number)

    def fileno(self) -> int:
        """The inotify descriptor; -1 once it is closed."""
        return self._fd

    def take(self) -> bool:
        """Take what has come; False if one of the paths is gone."""
        try:
            data = os.read(self._fd, _CHUNK)
        except BlockingIOError:
            return True
        offset, there = 0, True
        while offset < len(data):
            _, mask, _, length = EVENT.unpack_from(data, offset)
            there = there and not mask & (_GONE | _IGNORED)
            offset += EVENT.size + length
        return there

    def close(self) -> None:
        """Stop watching. Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def names(paths: Iterable[str]) -> Inotify:
    """Watch the names of files and directories; see ``notices.Notices``."""
    # the number of names of an open file is an attribute
    return _watch((path, _GONE | (0 if os.path.isdir(path) else _ATTRIB)) for path in paths)


def contents(directories: Iterable[str]) -> Inotify:
    """Watch what is in directories; see ``notices.Notices``."""
    mask = _MODIFY | _MOVED_TO | _CREATE | _DELETE | _GONE | _ONLYDIR
    return _watch((directory, mask) for directory in directories)


def _watch(wanted: Iterable[tuple[str, int]]) -> Inotify:
    told = Inotify()
    with contextlib.ExitStack() as stack:
        stack.callback(told.close)
        for path, mask in wanted:
            told.add(path, mask)
        stack.pop_all()
    return told


def _last_error() -> str:
    number = ctypes.get_errno()
    return f"{os.strerror(number)} ({errno.errorcode.get(number, number)})"
