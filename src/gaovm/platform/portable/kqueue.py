"""Exits and changed files by kqueue(2) of BSD and macOS.

A kqueue is itself a descriptor that becomes readable. This code has not run on such a system yet:
the tests replace ``select.kqueue`` with a stand-in.
"""

from __future__ import annotations

import contextlib
import os
import select
from collections.abc import Iterable
from typing import Any

from gaovm import errors

# Python on Linux has no names for these, and a type checker on Linux does not know them.
_kqueue: Any = select
_MAX_EVENTS = 64


def watch_exit(pid: int) -> Any:
    """Watch a process; return an ``exits.Exit`` and raise as it says."""
    queue = _kqueue.kqueue()
    try:
        event = _kqueue.kevent(
            pid,
            filter=_kqueue.KQ_FILTER_PROC,
            flags=_kqueue.KQ_EV_ADD,
            fflags=_kqueue.KQ_NOTE_EXIT,
        )
        queue.control([event], 0, 0)
    except BaseException:
        queue.close()
        raise
    return queue


class Files:
    """Changes of paths, each held open. Implements ``notices.Notices``.

    ``inside``: the paths are directories, and the content of their files counts too.

    Raises:
        errors.HostError: one of the paths cannot be watched.
    """

    def __init__(self, paths: Iterable[str], *, inside: bool) -> None:
        self._paths = tuple(paths)
        self._inside = inside
        self._queue = _kqueue.kqueue()
        self._opened: dict[str, int] = {}
        try:
            for path in self._paths:
                self._add(path)
            self._add_content()
        except OSError as exc:
            self.close()
            raise errors.HostError(f"{exc.filename} cannot be watched: {exc.strerror}") from exc

    def fileno(self) -> int:
        """The kqueue."""
        return int(self._queue.fileno())

    def take(self) -> bool:
        """Take what has come; False if one of the paths is gone."""
        own = {self._opened[path] for path in self._paths}
        gone = False
        for event in self._queue.control(None, _MAX_EVENTS, 0):
            if event.fflags & (_kqueue.KQ_NOTE_DELETE | _kqueue.KQ_NOTE_RENAME):
                gone = gone or event.ident in own
                self._forget(event.ident)
        if not gone:
            self._add_content()
        return not gone

    def close(self) -> None:
        """Release everything. Idempotent."""
        for fd in self._opened.values():
            os.close(fd)
        self._opened.clear()
        self._queue.close()

    def _add(self, path: str) -> None:
        fd = os.open(path, getattr(os, "O_EVTONLY", os.O_RDONLY) | os.O_NONBLOCK | os.O_CLOEXEC)
        self._opened[path] = fd
        notes = _kqueue.KQ_NOTE_DELETE | _kqueue.KQ_NOTE_RENAME | _kqueue.KQ_NOTE_LINK
        if self._inside:
            notes |= _kqueue.KQ_NOTE_WRITE | _kqueue.KQ_NOTE_EXTEND
        event = _kqueue.kevent(
            fd,
            filter=_kqueue.KQ_FILTER_VNODE,
            flags=_kqueue.KQ_EV_ADD | _kqueue.KQ_EV_CLEAR,
            fflags=notes,
        )
        self._queue.control([event], 0, 0)

    def _add_content(self) -> None:
        """Watch the content of each file: a directory reports changes of names only."""
        for directory in self._paths if self._inside else ():
            for name in os.listdir(directory):
                path = os.path.join(directory, name)
                if path not in self._opened:
                    with contextlib.suppress(OSError):  # just removed, or a socket
                        self._add(path)

    def _forget(self, fd: int) -> None:
        for path, opened in list(self._opened.items()):
            if opened == fd and path not in self._paths:
                os.close(fd)
                del self._opened[path]


def names(paths: Iterable[str]) -> Files:
    """Watch the names of files and directories; see ``notices.Notices``."""
    return Files(paths, inside=False)


def contents(directories: Iterable[str]) -> Files:
    """Watch what is in directories; see ``notices.Notices``."""
    return Files(directories, inside=True)
