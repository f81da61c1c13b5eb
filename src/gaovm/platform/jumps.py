"""Jumps of this machine's wall clock: somebody set it, or the machine has slept.

The kernel cancels a timer on the wall clock when the clock jumps (``TFD_TIMER_CANCEL_ON_SET`` of
timerfd_create(2)). Our timer is never due, so only a jump wakes us. Nothing polls.
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import os
from collections.abc import Callable

from gaovm import errors
from gaovm.platform import system

# include/uapi/linux/time.h, include/uapi/linux/timerfd.h and include/uapi/linux/fcntl.h
_CLOCK_REALTIME = 0
_NONBLOCK, _CLOEXEC = os.O_NONBLOCK, os.O_CLOEXEC
_ABSTIME, _CANCEL_ON_SET = 1, 2
#: The year 2200: not due as long as anybody waits.
_NEVER_S = 7_258_118_400


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Timer(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


class Jumps:
    """Calls ``on_jump`` in the running loop after each jump, until ``close``.

    Raises:
        errors.HostError: this kernel has no such timer.
    """

    def __init__(self, on_jump: Callable[[], None]) -> None:
        if not system.LINUX:
            raise errors.HostError("only Linux reports jumps of the clock")
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._on_jump = on_jump
        self._fd = self._libc.timerfd_create(_CLOCK_REALTIME, _NONBLOCK | _CLOEXEC)
        if self._fd < 0:
            raise errors.HostError(f"timerfd_create: {os.strerror(ctypes.get_errno())}")
        try:
            self._arm()
        except errors.HostError:
            os.close(self._fd)
            raise
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._fd, self._readable)

    def close(self) -> None:
        """Stop reporting. Idempotent."""
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _arm(self) -> None:
        timer = _Timer(value=_Timespec(_NEVER_S, 0))
        flags = _ABSTIME | _CANCEL_ON_SET
        if self._libc.timerfd_settime(self._fd, flags, ctypes.byref(timer), None) != 0:
            raise errors.HostError(f"timerfd_settime: {os.strerror(ctypes.get_errno())}")

    def _readable(self) -> None:
        try:
            os.read(self._fd, 8)
        except BlockingIOError:
            return
        except OSError as exc:
            if exc.errno != errno.ECANCELED:
                self.close()
                return
        self._arm()
        self._on_jump()
