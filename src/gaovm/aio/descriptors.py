"""How many descriptors this process may open, and the few that it keeps for what must not fail.

The kernel gives out the lowest free number, so one probe tells whether few are left.
"""

from __future__ import annotations

import contextlib
import os
import resource

#: Kept free of clients: enough to end VMs, write logs, and refuse whoever comes too late.
RESERVE = 16
#: Kept free of new VMs, each of which takes a connection and a process descriptor.
VM_RESERVE = 24

_inherited: int | None = None


def raise_limit(inherited: int | None = None) -> None:
    """Let this process open as many as it ever may: its soft limit becomes the hard one.

    Programs that it starts get the limit that it was started with (``restore``): a larger one slows
    down those that close every number, and breaks those that use select(2).
    ``inherited``: that limit, where the program before this one in the same process raised it.
    """
    global _inherited
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    _inherited = inherited or _inherited or soft
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def inherited() -> int | None:
    """The soft limit that this process was started with; None: it was not raised."""
    return _inherited


def restore() -> None:
    """In a child, before it executes a program: the limit as if nobody had raised it."""
    if _inherited is not None:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (_inherited, hard))


def limit() -> int:
    """How many this process may open now."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def scarce(keep: int = RESERVE) -> bool:
    """Whether at most ``keep`` are left."""
    allowed = limit()
    if allowed == resource.RLIM_INFINITY:
        return False
    try:
        probe = _probe()
    except OSError:
        return True
    os.close(probe)
    return probe >= allowed - keep


def _probe() -> int:
    """A new descriptor, not by open(2): the probe must not depend on a file."""
    if hasattr(os, "eventfd"):
        return os.eventfd(0)
    reading, writing = os.pipe()
    os.close(writing)
    return reading
