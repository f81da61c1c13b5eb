"""Processes by their pid and start time, and what this process may say of itself.

Hot commands use this module: it loads neither asyncio nor ctypes.
"""

from __future__ import annotations

import os

from gaovm import errors
from gaovm.platform import system

if system.LINUX:
    from gaovm.platform.linux.proc import (
        START_TOLERANCE,
        boot_id,
        has_locked,
        look,
        name_self,
        resident_bytes,
        tree_memory,
    )
else:
    from gaovm.platform.portable.ps import (
        START_TOLERANCE,
        boot_id,
        has_locked,
        look,
        name_self,
        resident_bytes,
        tree_memory,
    )

__all__ = [
    "START_TOLERANCE",
    "alive",
    "boot_id",
    "exit_status",
    "has_locked",
    "identity",
    "is_stopped",
    "name_self",
    "resident_bytes",
    "tree_memory",
]


def identity(pid: int) -> tuple[int, int]:
    """Return ``(pid, start time)``: this names a process for good, as pids are used again.

    Raises:
        errors.NotFound: there is no such process.
        errors.HostError: the system does not say, for example if no descriptor is left.
    """
    return pid, look(pid).start_time


def alive(pid: int, start_time: int) -> bool:
    """Whether exactly that process still runs; a zombie does not. True if the system can't say."""
    try:
        found = look(pid)
    except errors.NotFound:
        return False
    except errors.HostError:
        return True
    return _same_start(found.start_time, start_time) and found.state not in "ZX"


def exit_status(pid: int, start_time: int) -> int | None:
    """Say how a process of this user ended (minus the signal) before its parent has reaped it.

    None: it runs, or only its parent can say any more.
    """
    try:
        found = look(pid)
    except (errors.NotFound, errors.HostError):
        return None
    ended = _same_start(found.start_time, start_time) and found.state == "Z"
    if not ended or found.wait_status is None:
        return None
    return os.waitstatus_to_exitcode(found.wait_status)


def is_stopped(pid: int) -> bool:
    """Whether a signal or a debugger has stopped a process, as far as the system says."""
    try:
        return look(pid).state in "Tt"
    except errors.GaoError:
        return False


def _same_start(one: int, other: int) -> bool:
    return abs(one - other) <= START_TOLERANCE
