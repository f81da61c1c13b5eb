"""Learn when files change: a descriptor becomes readable.

Linux has inotify, BSD and macOS kqueue; elsewhere a thread looks twice a second. ``gaovm logs``
uses this module: it does not load asyncio.
"""

from __future__ import annotations

import select
from collections.abc import Callable, Iterable
from typing import Protocol

from gaovm.platform import system


class Notices(Protocol):
    """Readable when there is something to take; ``names`` or ``contents`` makes it."""

    def fileno(self) -> int:
        """The descriptor to wait for."""
        ...

    def take(self) -> bool:
        """Take what has come, without waiting; False if one of the paths is gone."""
        ...

    def close(self) -> None:
        """Stop watching. Idempotent."""
        ...


_Make = Callable[[Iterable[str]], Notices]
_names: _Make
_contents: _Make
if system.LINUX:
    from gaovm.platform.linux import inotify

    _names, _contents = inotify.names, inotify.contents
elif hasattr(select, "kqueue"):
    from gaovm.platform.portable import kqueue

    _names, _contents = kqueue.names, kqueue.contents
else:
    from gaovm.platform.portable import looking

    _names, _contents = looking.names, looking.contents


def names(paths: Iterable[str]) -> Notices:
    """Report when one of the paths is removed or renamed, or its number of names changes.

    Raises:
        errors.HostError: a path cannot be watched, or does not exist.
    """
    return _names(paths)


def contents(directories: Iterable[str]) -> Notices:
    """Report when something in one of the directories is written, made, renamed or removed.

    Raises:
        errors.HostError: a path cannot be watched, or does not exist.
    """
    return _contents(directories)


def wait(told: Notices, limit_s: float | None = None) -> bool:
    """Block until something changes, at most ``limit_s``; False if one of the paths is gone."""
    if not select.select([told.fileno()], [], [], limit_s)[0]:
        return True
    return told.take()
