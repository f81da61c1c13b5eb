"""Being told when files change: a descriptor becomes readable.

Linux has inotify, BSD and macOS kqueue; elsewhere a thread looks twice a second. On the path of
``gaovm logs``: loads no asyncio.
"""

from __future__ import annotations

import select
from collections.abc import Callable, Iterable
from typing import Protocol

from gaovm.platform import system


class Notices(Protocol):
    """Readable when there is something to take; made by ``names`` or ``contents``."""

    def fileno(self) -> int:
        """The descriptor to wait for."""
        ...

    def take(self) -> bool:
        """Take what has come without waiting; False when one of the paths is gone."""
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
    """Tell when one of the paths is removed or renamed, or gets another number of names.

    Raises:
        errors.HostError: one of them cannot be watched, or is not there.
    """
    return _names(paths)


def contents(directories: Iterable[str]) -> Notices:
    """Tell when something in one of the directories is written, made, renamed or removed.

    Raises:
        errors.HostError: one of them cannot be watched, or is not there.
    """
    return _contents(directories)


def wait(told: Notices, limit_s: float | None = None) -> bool:
    """Block until something changed, at most ``limit_s``; False when one of the paths is gone."""
    if not select.select([told.fileno()], [], [], limit_s)[0]:
        return True
    return told.take()
