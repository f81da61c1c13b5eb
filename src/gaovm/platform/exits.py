"""Learn when a process ends: a descriptor becomes readable.

Linux has pidfds, BSD and macOS kqueue; elsewhere a thread waits.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable
from typing import Protocol

from gaovm.platform import system


class Exit(Protocol):
    """Readable once the process has ended, even before it is reaped; ``watch`` makes it."""

    def fileno(self) -> int:
        """The descriptor to wait for."""
        ...

    def close(self) -> None:
        """Stop watching. Idempotent."""
        ...


_watch: Callable[[int], Exit]
if system.LINUX:
    from gaovm.platform.linux.pidfd import Pidfd

    _watch = Pidfd
elif hasattr(select, "kqueue"):
    from gaovm.platform.portable.kqueue import watch_exit

    _watch = watch_exit
else:
    from gaovm.platform.portable.threads import Waiting

    _watch = Waiting


def watch(pid: int) -> Exit:
    """Watch a process, of whatever parent.

    Raises:
        ProcessLookupError: there is no such process.
        OSError: it cannot be watched, for example if no descriptor is left.
    """
    return _watch(pid)


def wait(handle: Exit, limit_s: float | None = None) -> bool:
    """Block until the process has ended, at most ``limit_s`` seconds; return whether it has."""
    return bool(select.select([handle.fileno()], [], [], limit_s)[0])


def is_child(pid: int) -> bool:
    """Whether the process is a child of this one that nobody has reaped."""
    if not hasattr(os, "waitid"):  # macOS before Python 3.13: only reaping the process can tell
        return True
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True
