"""Execute the new code in this process; descriptors stay open, and no signal is lost."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
from collections.abc import Iterator
from typing import NoReturn

from gaovm import errors
from gaovm.aio import steps
from gaovm.daemon import handover
from gaovm.platform import priority

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def signals_kept() -> Iterator[list[int]]:
    """Keep SIGTERM and SIGINT pending, so that the next program gets them after an exec.

    Yields a list; if another thread of this process takes such a signal meanwhile, it is added.
    """
    arrived: list[int] = []
    numbers = (signal.SIGTERM, signal.SIGINT)
    signal.pthread_sigmask(signal.SIG_BLOCK, numbers)

    def keep(number: int, _: object) -> None:
        arrived.append(number)

    # the event loop hears of them too, but only in its next turn
    before = {number: signal.signal(number, keep) for number in numbers}
    try:
        yield arrived
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)


@steps.step
def bequeath(descriptors: list[int]) -> None:
    """Let the next program inherit descriptors.

    This is the old code's last step; the next one is the first of ``takeover``.
    """
    for fd in descriptors:
        os.set_inheritable(fd, True)


def execute(memory: int, *, foreground: bool) -> NoReturn:
    """Replace this program by the installed one, which reads the hand-over from ``memory``.

    Raises:
        errors.HostError: it cannot be executed; this program goes on.
    """
    argv = [*program(), handover.FLAG, str(memory), *(["--foreground"] if foreground else [])]
    logger.info("executing the new code")
    try:
        with priority.normal():
            os.execv(argv[0], argv)
    except OSError as exc:
        raise errors.HostError(f"{argv[0]} cannot be executed: {exc.strerror}") from exc


def program() -> list[str]:
    """Return the command line of the installed daemon.

    Its interpreter is the one that runs this daemon, never one that a client names.
    """
    return [sys.executable, "-P", "-m", "gaovm.daemon"]
