"""Check with regular pings whether the other side of a connection still answers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gaovm import errors

if TYPE_CHECKING:
    from collections.abc import Callable


class Heartbeat:
    """Call ``ping`` every ``interval_s``, and ``fail`` once when no answer comes in ``limit_s``."""

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
        """Ping now; the owner must call ``answered`` when the answer arrives."""
        self._ping()
        self._timer = asyncio.get_running_loop().call_later(self._limit_s, self._on_silence)

    def answered(self) -> None:
        """Note the answer, and ping again after the interval."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = asyncio.get_running_loop().call_later(self._interval_s, self.start)

    def stop(self) -> None:
        """Stop pinging. Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_silence(self) -> None:
        self._timer = None
        limit = f"{self._limit_s:g} s"
        self._fail(errors.ConnectionLost(f"no answer to a ping within {limit}"))
