"""Limit the memory for data that clients have sent and the server has not handled yet.

This data is partial frames and the requests under way. All connections of a server share one
budget. When they exceed it, the server ends the connection that holds the most. A client that sends
each frame quickly and whole is never that one, however many other clients there are.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

BUDGET_BYTES = 32 << 20
#: The longest time for one frame, from its first byte to its last.
FRAME_LIMIT_S = 30.0


class Holder(Protocol):
    """An object that uses a part of the budget."""

    def overrun(self) -> None:
        """Release everything: the budget is used up, and this holder uses the most."""
        ...


class Budget:
    """The memory that all connections of a server share."""

    def __init__(self, limit_bytes: int = BUDGET_BYTES) -> None:
        self.limit_bytes = limit_bytes
        self.used_bytes = 0
        self._held: dict[Holder, int] = {}

    def hold(self, holder: Holder, size: int) -> None:
        """Note that ``holder`` uses ``size`` bytes now; above the limit, end the largest ones."""
        self._set(holder, size)
        while self.used_bytes > self.limit_bytes:
            greatest = max(self._held, key=self._held.__getitem__)
            self._set(greatest, 0)
            greatest.overrun()

    def _set(self, holder: Holder, size: int) -> None:
        self.used_bytes += size - self._held.pop(holder, 0)
        if size:
            self._held[holder] = size


class Frames:
    """Check that each frame of one connection arrives whole in time.

    If a frame does not, this class calls ``late`` once. It needs one timer per ``FRAME_LIMIT_S``,
    and none while nothing arrives.
    """

    def __init__(self, late: Callable[[], None]) -> None:
        self._late = late
        self._timer: asyncio.TimerHandle | None = None
        self._partial = False
        self._count = self._count_then = 0

    def saw(self, *, whole: int, partial: bool) -> None:
        """Note that ``whole`` more frames are complete; ``partial``: another one has begun."""
        self._count += whole
        self._partial = partial
        if partial and self._timer is None:
            self._arm()

    def stop(self) -> None:
        """Stop checking, because the connection has ended. Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        self._count_then = self._count
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(FRAME_LIMIT_S, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._partial and self._count == self._count_then:
            self._late()
        elif self._partial:
            self._arm()
