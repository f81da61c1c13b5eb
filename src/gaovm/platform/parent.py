"""Programs that die with the process that started them, where the system can do that."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable

from gaovm.platform import system

_PR_SET_PDEATHSIG = 1

#: Whether a program that ``death_signal`` prepared ends with its parent, however that ends.
SUPPORTED = system.LINUX


def death_signal(number: int) -> Callable[[], None] | None:
    """What the child runs between fork and exec, so that the signal comes when its parent dies.

    The parent is the thread that forks. None: this system has no such signal, and what a killed
    parent leaves running has to notice by its sockets.
    """
    if not SUPPORTED:
        return None
    prctl = ctypes.CDLL(None).prctl  # looked up before the fork
    parent, death = os.getpid(), int(number)

    def set_it() -> None:
        prctl(_PR_SET_PDEATHSIG, death, 0, 0, 0)
        if os.getppid() != parent:  # it died before the call above
            os._exit(1)

    return set_it
