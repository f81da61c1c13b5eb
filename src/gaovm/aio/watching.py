"""Being told when a file or directory loses its name: inotify(7), so that nobody has to look."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
from collections.abc import Iterable
from pathlib import Path

from gaovm import errors
from gaovm.aio import sockets

# of sys/inotify.h; the flags of inotify_init1(2) are those of open(2)
_IN_ATTRIB = 0x004  # the count of an open file's names is an attribute
_IN_DELETE_SELF = 0x400
_IN_MOVE_SELF = 0x800


async def until_renamed(paths: Iterable[Path]) -> None:
    """Return when one of the paths was removed or renamed, or when something else about it changed.

    What it is now is for the caller to see.

    Raises:
        errors.HostError: the system does not watch it, for want of a descriptor say, or the path is
            not there.
    """
    fd = _watch(paths)
    try:
        await sockets.readable(fd)
    finally:
        os.close(fd)


def _watch(paths: Iterable[Path]) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        fd = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    except AttributeError as exc:
        raise errors.HostError("this system has no inotify") from exc
    if fd < 0:
        raise errors.HostError(f"cannot watch files: {_last_error()}")
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, fd)
        for path in paths:
            mask = _IN_DELETE_SELF | _IN_MOVE_SELF | (0 if path.is_dir() else _IN_ATTRIB)
            if libc.inotify_add_watch(fd, os.fsencode(path), mask) < 0:
                raise errors.HostError(f"cannot watch {path}: {_last_error()}")
        stack.pop_all()
    return int(fd)


def _last_error() -> str:
    number = ctypes.get_errno()
    return f"{os.strerror(number)} ({errno.errorcode.get(number, number)})"
