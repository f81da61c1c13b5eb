"""End a driver that lost its daemon: it leaves after 15 s without an authenticated call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gaovm.aio import clock

LIMIT_S = 15.0


class Liveness:
    """A dead man's switch; calls ``on_silence`` once."""

    def __init__(self, on_silence: Callable[[], None], limit_s: float) -> None:
        self._on_silence = on_silence
        self._limit_s = limit_s
        self._last = clock.monotonic()
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to watch."""
        self._arm(self._limit_s)

    def touch(self) -> None:
        """Note that the daemon has called."""
        self._last = clock.monotonic()

    def stop(self) -> None:
        """Stop watching. Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, delay_s: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._look)

    def _look(self) -> None:
        left = self._limit_s - (clock.monotonic() - self._last)
        if left > 0:
            self._arm(left)
            return
        self._timer = None
        self._on_silence()
