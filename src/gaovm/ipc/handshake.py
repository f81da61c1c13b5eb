"""Limit the time from a connection's beginning until both hellos are done."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gaovm import errors

if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT_S = 5.0


class Handshake:
    """Limit that time, and let others wait for its end."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, fail: Callable[[errors.GaoError], None]) -> None:
        """Start the time limit; call ``fail`` when the other side takes too long."""
        late = errors.HandshakeError(f"no hello within {self._limit_s:g} s")
        self._timer = asyncio.get_running_loop().call_later(self._limit_s, fail, late)

    def done(self) -> None:
        """Note that both hellos are done."""
        self._stop()
        self._ready.set_result(None)

    def end(self, error: errors.GaoError) -> None:
        """Note that the connection ends; those who wait get the error. Idempotent."""
        self._stop()
        if not self._ready.done():
            self._ready.set_exception(error)
            self._ready.exception()  # retrieved, even if nobody waits

    async def wait(self) -> None:
        """Wait until both hellos are done.

        Raises:
            errors.GaoError: a hello failed for this reason.
        """
        await asyncio.shield(self._ready)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
