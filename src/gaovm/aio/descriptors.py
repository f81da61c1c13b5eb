"""How many descriptors this process may open, and a reserve for what must not fail.

The kernel gives out the lowest free number, so one new descriptor shows whether few are left.
"""

from __future__ import annotations

import contextlib
import os
import resource

#: Clients cannot use these: they are enough to end VMs, write logs, and refuse late clients.
RESERVE = 16
#: New VMs cannot use these: each VM takes a connection and a process descriptor.
VM_RESERVE = 24

_inherited: int | None = None


def raise_limit(inherited: int | None = None) -> None:
    """Raise this process's soft limit to its hard limit.

    Programs that it starts get the limit that it was started with (``restore``): a larger one slows
    down programs that close every number, and breaks programs that use select(2).
    ``inherited``: that limit, if the previous program in the same process had raised it already.
    """
    global _inherited
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    _inherited = inherited or _inherited or soft
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def inherited() -> int | None:
    """Return the soft limit that this process was started with; None: nobody raised it."""
    return _inherited


def restore() -> None:
    """In a child, before it executes a program: restore the limit from before ``raise_limit``."""
    if _inherited is not None:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (_inherited, hard))


def limit() -> int:
    """Return how many descriptors this process may open now."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def scarce(keep: int = RESERVE) -> bool:
    """Whether at most ``keep`` descriptors are left."""
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
    """Make a descriptor without open(2): the probe must not depend on a file."""
    if hasattr(os, "eventfd"):
        return os.eventfd(0)
    reading, writing = os.pipe()
    os.close(writing)
    return reading
