"""Being told when files change: a descriptor becomes readable.

Linux has inotify, BSD and macOS kqueue; elsewhere a thread looks twice a second. On the path of
``gaovm logs``: loads no asyncio.
"""

from __future__ import annotations

import select
from typing import Protocol

from gaovm.platform import system

if system.LINUX:
    from gaovm.platform.linux.inotify import contents, names
elif hasattr(select, "kqueue"):
    from gaovm.platform.portable.kqueue import contents, names
else:
    from gaovm.platform.portable.looking import contents, names

__all__ = ["Notices", "contents", "names", "wait"]


class Notices(Protocol):
    """What ``names`` and ``contents`` return; both take paths and raise ``errors.HostError``.

    ``names``: one of the paths was removed, renamed, or has another number of names.
    ``contents``: something in one of the directories was written, made, renamed or removed.
    """

    def fileno(self) -> int:
        """The descriptor to wait for."""
        ...

    def take(self) -> bool:
        """Take what has come without waiting; False when one of the paths is gone."""
        ...

    def close(self) -> None:
        """Stop watching. Idempotent."""
        ...


def wait(told: Notices, limit_s: float | None = None) -> bool:
    """Block until something changed, at most ``limit_s``; False when one of the paths is gone."""
    if not select.select([told.fileno()], [], [], limit_s)[0]:
        return True
    return told.take()
