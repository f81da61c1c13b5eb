"""Notices by a thread that polls: for a system that does not report changed files."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterable, Sequence

from gaovm import errors

_LOOK_S = 0.5
Picture = tuple[object, ...]


class Looking:
    """Implements ``notices.Notices`` by a pipe into which the thread writes at each change.

    Raises:
        errors.HostError: one of the paths does not exist.
    """

    def __init__(self, paths: Iterable[str], picture: Callable[[str], Picture]) -> None:
        self._paths = tuple(paths)
        self._picture = picture
        try:
            self._seen = self._look()
            self._idents = [_ident(path) for path in self._paths]
        except OSError as exc:
            raise errors.HostError(f"{exc.filename} cannot be watched: {exc.strerror}") from exc
        self._reading, writing = os.pipe()
        os.set_blocking(self._reading, False)
        os.set_blocking(writing, False)
        self._closed = threading.Event()
        threading.Thread(
            target=self._watch, args=(writing,), name="file notices", daemon=True
        ).start()

    def fileno(self) -> int:
        """The pipe's reading end; -1 once it is closed."""
        return self._reading

    def take(self) -> bool:
        """Take what has come; False if one of the paths is gone."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._reading, 1 << 16)
        try:
            return [_ident(path) for path in self._paths] == self._idents
        except OSError:
            return False

    def close(self) -> None:
        """Stop watching. Idempotent."""
        self._closed.set()
        if self._reading >= 0:
            os.close(self._reading)
            self._reading = -1

    def _look(self) -> Sequence[Picture]:
        return [self._picture(path) for path in self._paths]

    def _watch(self, writing: int) -> None:
        try:
            while not self._closed.wait(_LOOK_S):
                try:
                    found: Sequence[Picture] = self._look()
                except OSError:
                    found = ()
                if found != self._seen:
                    self._seen = found
                    with contextlib.suppress(BlockingIOError):  # nobody has taken the last one
                        os.write(writing, b"x")
        except BrokenPipeError:
            pass  # closed meanwhile
        finally:
            os.close(writing)


def _ident(path: str) -> tuple[int, int]:
    found = os.stat(path)
    return found.st_dev, found.st_ino


def _name(path: str) -> Picture:
    found = os.stat(path)
    links = 0 if os.path.isdir(path) else found.st_nlink
    return found.st_dev, found.st_ino, links


def _content(directory: str) -> Picture:
    with os.scandir(directory) as entries:
        found = [(entry.name, entry.stat(follow_symlinks=False)) for entry in entries]
    files = sorted((name, each.st_ino, each.st_size, each.st_mtime_ns) for name, each in found)
    return (*_ident(directory), *files)


def names(paths: Iterable[str]) -> Looking:
    """Watch the names of files and directories; see ``notices.Notices``."""
    return Looking(paths, _name)


def contents(directories: Iterable[str]) -> Looking:
    """Watch what is in directories; see ``notices.Notices``."""
    return Looking(directories, _content)
