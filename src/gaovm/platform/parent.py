"""Make programs die with the process that started them, where the system can do that."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable

from gaovm.platform import system

_PR_SET_PDEATHSIG = 1

#: Whether a program prepared by ``death_signal`` ends with its parent, however the parent ends.
SUPPORTED = system.LINUX


def death_signal(number: int) -> Callable[[], None] | None:
    """Return what the child runs between fork and exec to get the signal when its parent dies.

    The parent is the thread that forks. None: this system has no such signal; programs that a
    killed parent leaves behind must notice by their sockets.
    """
    if not SUPPORTED:
        return None
    prctl = ctypes.CDLL(None).prctl  # look it up before the fork
    parent, death = os.getpid(), int(number)

    def set_it() -> None:
        prctl(_PR_SET_PDEATHSIG, death, 0, 0, 0)
        if os.getppid() != parent:  # the parent died before the call above
            os._exit(1)

    return set_it
