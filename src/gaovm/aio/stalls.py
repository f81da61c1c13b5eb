"""Report when an event loop stalls: how often, how long, and in which code.

The loop notes when each of its turns begins and ends. While there are turns, a thread looks at
these notes, at most once per limit. While nothing happens the thread sleeps, and nothing wakes it.
"""

from __future__ import annotations

import asyncio
import logging
import selectors
import sys
import threading
import time
import traceback
from typing import TYPE_CHECKING, Any, Self

from gaovm.aio import threads

if TYPE_CHECKING:
    from types import TracebackType

logger = logging.getLogger(__name__)

LIMIT_S = 1.0
_IDLE = 0.0
_MAX_FRAMES = 40


class Watch:
    """Watches the loop that ``new_loop`` made, as long as the watch's block lasts.

    ``count``: how many turns took longer than ``limit_s``; ``longest_s``: the longest of them.
    """

    def __init__(self, limit_s: float = LIMIT_S) -> None:
        self.limit_s = limit_s
        self.count = 0
        self.longest_s = 0.0
        self._since = _IDLE  # when the present turn began
        self._asked = False
        self._turn = threading.Semaphore(0)
        self._ending = threading.Event()
        self._watched = 0
        self._thread = threading.Thread(target=self._look, name="loop watch", daemon=True)

    def new_loop(self) -> asyncio.AbstractEventLoop:
        """Make an event loop that reports its turns to this watch; run it in this thread."""
        self._watched = threading.get_ident()
        return asyncio.SelectorEventLoop(_Selector(self))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ending.set()
        self._turn.release()
        self._thread.join()

    def begin(self) -> None:
        """Note that a turn begins. For the loop."""
        self._since = time.monotonic()
        if self._asked:
            self._asked = False
            self._turn.release()

    def end(self) -> None:
        """Note that a turn has ended. For the loop."""
        since, self._since = self._since, _IDLE
        if since and (lasted_s := time.monotonic() - since) > self.limit_s:
            self.count += 1
            self.longest_s = max(self.longest_s, lasted_s)
            logger.warning("the event loop stood still for %.1f s", lasted_s)

    def _look(self) -> None:
        # the loop's thread takes signals: this one must not take one kept for the next program
        threads.leave_signals()
        while not self._ending.is_set():
            since = self._since
            left_s = since + self.limit_s - time.monotonic()
            if since and left_s > 0:
                self._ending.wait(left_s)
                continue
            if since:
                self._tell_where()
            self._asked = True
            if self._since == since:  # else a later turn runs, which did not see the question
                self._turn.acquire()

    def _tell_where(self) -> None:
        frame = sys._current_frames().get(self._watched)
        if frame is not None:
            stack = "".join(traceback.format_stack(frame, _MAX_FRAMES))
            logger.warning(
                "the event loop stands still, for more than %g s:\n%s", self.limit_s, stack
            )


class _Selector(selectors.DefaultSelector):
    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self._watch = watch

    def select(self, timeout: float | None = None) -> Any:
        self._watch.end()
        try:
            return super().select(timeout)
        finally:
            self._watch.begin()
