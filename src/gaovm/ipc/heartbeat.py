"""Whether the other side of a connection still answers: a ping from time to time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gaovm import errors

if TYPE_CHECKING:
    from collections.abc import Callable


class Heartbeat:
    """Calls ``ping`` every ``interval_s``, and ``fail`` once when an answer takes ``limit_s``."""

    def __init__(
        self,
        interval_s: float,
        limit_s: float,
        ping: Callable[[], None],
        fail: Callable[[errors.GaoError], None],
    ) -> None:
        self._interval_s = interval_s
        self._limit_s = limit_s
        self._ping = ping
        self._fail = fail
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Ping now; ``answered`` has to follow."""
        self._ping()
        self._timer = asyncio.get_running_loop().call_later(self._limit_s, self._on_silence)

    def answered(self) -> None:
        """The answer has come: ping again after the interval."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = asyncio.get_running_loop().call_later(self._interval_s, self.start)

    def stop(self) -> None:
        """Watch no more. Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_silence(self) -> None:
        self._timer = None
        limit = f"{self._limit_s:g} s"
        self._fail(errors.ConnectionLost(f"no answer to a ping within {limit}"))
