"""Processor time for threads that do little but must do it soon.

A thread that watches over VMs works for milliseconds, and often just when the kernel frees a dead
guest's memory. On a kernel that does not preempt itself each wake-up may then wait 4 ms for the
next tick. A better nice value makes this rarer; real time (``SCHED_RR``) ends it.

Real time is lent, not given: a thread that works for ``STRETCH_S`` without a pause loses it for
``REST_S``, so that no flood of calls and no defect occupies a processor. Linux counts that time
(``RLIMIT_RTTIME`` of setrlimit(2)) and reports it by SIGXCPU.

All of this needs CAP_SYS_NICE or limits that allow it. If it is not permitted or not known, or if
somebody has chosen a priority for this process, everything stays as it is. ``GAOVM_REALTIME=0``
switches real time off. Only the length of waits depends on it. Threads and programs that such a
thread starts run as usual: the limit that they inherit counts only in real time.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import resource
import signal
import threading
from collections.abc import Iterator

logger = logging.getLogger(__name__)

NICE = -10
RANK = 1  # the lowest real time: before all other threads, behind every real-time thread
STRETCH_S = 0.05
REST_S = 1.0
VARIABLE = "GAOVM_REALTIME"


def switched_off() -> bool:
    """Whether somebody wants no real time at all: ``GAOVM_REALTIME=0``."""
    return os.environ.get(VARIABLE, "").lower() in ("0", "off", "no", "false")


def refusal() -> str:
    """Say why this user's threads get no real time; empty: they get it. Changes nothing."""
    if not hasattr(os, "SCHED_RESET_ON_FORK"):
        return "this system does not have it"
    refused: list[str] = []

    def attempt() -> None:
        try:
            _take_nice()
            _take(0, realtime=True)
        except OSError as exc:
            refused.append(exc.strerror or str(exc))

    # In a thread, with which it ends: not everybody may take back what this gave.
    thread = threading.Thread(target=attempt, name="real time")
    thread.start()
    thread.join()
    return "".join(refused)


class _Lent:
    """The threads of this process that have real time, or will have it again after a rest."""

    def __init__(self) -> None:
        self.allowed = False
        self.threads: set[int] = set()

    def give(self) -> None:
        _limit_stretch()  # at each signal the kernel raises the limit by a second: reset it
        for thread in tuple(self.threads):
            _schedule(thread, realtime=True)

    def take_back(self) -> None:
        for thread in tuple(self.threads):
            _schedule(thread, realtime=False)

    def on_stretch(self, *_: object) -> None:
        """Handle SIGXCPU: a thread has worked too long. It does not say which, so all rest."""
        self.take_back()
        with contextlib.suppress(RuntimeError):  # no event loop that could end the rest
            loop = asyncio.get_running_loop()
            loop.call_soon_threadsafe(loop.call_later, REST_S, self.give)


_lent = _Lent()


@contextlib.contextmanager
def realtime() -> Iterator[None]:
    """Inside the block ``first`` lends real time, unless it is switched off.

    In the main thread; do not nest.
    """
    if switched_off():
        yield
        return
    before = signal.signal(signal.SIGXCPU, _lent.on_stretch)
    _lent.allowed = _limit_stretch()
    try:
        yield
    finally:
        _lent.allowed = False
        _lent.take_back()
        signal.signal(signal.SIGXCPU, before)


@contextlib.contextmanager
def first() -> Iterator[None]:
    """Put the calling thread before others: by real time inside ``realtime``, else by nice."""
    thread = threading.get_native_id()
    if nice() and _lent.allowed and _schedule(thread, realtime=True):
        _lent.threads.add(thread)
    try:
        yield
    finally:
        if thread in _lent.threads:
            _lent.threads.remove(thread)  # the next thread may get the same number
            _schedule(thread, realtime=False)


@contextlib.contextmanager
def normal() -> Iterator[None]:
    """Inside the block no thread has real time: before an ``exec`` of another program."""
    _lent.take_back()
    try:
        yield
    finally:
        _lent.give()


def nice() -> bool:
    """Give the calling thread the nice value ``NICE``; return whether it has it now."""
    if not hasattr(os, "SCHED_RESET_ON_FORK"):
        return False
    try:
        _take_nice()
    except OSError as exc:
        logger.debug("the priority stays as it is: %s", exc.strerror)
        return False
    return True


def _take_nice() -> None:
    """Give the calling thread the nice value ``NICE``, unless somebody chose another priority."""
    ours = os.SCHED_OTHER | os.SCHED_RESET_ON_FORK, NICE
    found = os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0)
    if found == ours:
        return
    if found != (os.SCHED_OTHER, 0):
        raise PermissionError(errno.EPERM, "this process has a priority that somebody chose")
    # In this order: a child made in between would inherit the nice value.
    os.sched_setscheduler(0, ours[0], os.sched_param(0))
    os.setpriority(os.PRIO_PROCESS, 0, NICE)


def _take(thread: int, *, realtime: bool) -> None:
    policy, rank = (os.SCHED_RR, RANK) if realtime else (os.SCHED_OTHER, 0)
    os.sched_setscheduler(thread, policy | os.SCHED_RESET_ON_FORK, os.sched_param(rank))


def _schedule(thread: int, *, realtime: bool) -> bool:
    try:
        _take(thread, realtime=realtime)
    except OSError as exc:
        logger.debug("no real time: %s", exc.strerror)
        return False
    return True


def _limit_stretch() -> bool:
    """Ask the kernel to report a real-time thread that does not pause; False: it cannot."""
    try:
        limit = resource.RLIMIT_RTTIME
        _, hard = resource.getrlimit(limit)
        resource.setrlimit(limit, (round(STRETCH_S * 1e6), hard))
    except (AttributeError, OSError, ValueError):
        return False
    return True
