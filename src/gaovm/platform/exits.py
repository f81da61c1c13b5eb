"""Being told when a process ends: a descriptor becomes readable.

Linux has pidfds, BSD and macOS kqueue; elsewhere a thread waits.
"""

from __future__ import annotations

import os
import select
from typing import Protocol

from gaovm.platform import system

if system.LINUX:
    from gaovm.platform.linux.pidfd import watch
elif hasattr(select, "kqueue"):
    from gaovm.platform.portable.kqueue import watch_exit as watch
else:
    from gaovm.platform.portable.threads import watch

__all__ = ["Exit", "is_child", "wait", "watch"]


class Exit(Protocol):
    """Readable once the process has ended, also while it is not reaped yet; made by ``watch``.

    ``watch(pid)`` raises ``ProcessLookupError`` when there is no such process, and another
    ``OSError`` when it cannot be watched, as with no descriptor left.
    """

    def fileno(self) -> int:
        """The descriptor to wait for."""
        ...

    def close(self) -> None:
        """Stop watching. Idempotent."""
        ...


def wait(handle: Exit, limit_s: float | None = None) -> bool:
    """Block until the process has ended, at most ``limit_s`` seconds; whether it has."""
    return bool(select.select([handle.fileno()], [], [], limit_s)[0])


def is_child(pid: int) -> bool:
    """Whether it is a child of this process that has not been reaped."""
    if not hasattr(os, "waitid"):  # macOS before Python 3.13: reaping it will tell
        return True
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True
