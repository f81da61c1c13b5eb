"""What the other sides of connections have sent and nobody has dealt with yet: bounded.

That is half a frame, and the requests that are under way. All connections of a server share one
budget. Whoever holds the most is ended when it is exceeded: a client that sends what it means soon
and in one piece is never that one, however many others there are.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

BUDGET_BYTES = 32 << 20
#: How long one frame may be on its way, from its first byte to its last.
FRAME_LIMIT_S = 30.0


class Holder(Protocol):
    """Somebody who holds a part of the budget."""

    def overrun(self) -> None:
        """The budget is used up, and this one holds the most: it has to let go of all of it."""
        ...


class Budget:
    """The memory that all connections of a server share."""

    def __init__(self, limit_bytes: int = BUDGET_BYTES) -> None:
        self.limit_bytes = limit_bytes
        self.used_bytes = 0
        self._held: dict[Holder, int] = {}

    def hold(self, holder: Holder, size: int) -> None:
        """``holder`` holds ``size`` bytes now; ends the greatest holders when it is too much."""
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
    """Sees to it that each frame of one connection is whole in time.

    ``late`` is called once when one is not. Costs one timer in ``FRAME_LIMIT_S``, and none while
    nothing comes.
    """

    def __init__(self, late: Callable[[], None]) -> None:
        self._late = late
        self._timer: asyncio.TimerHandle | None = None
        self._partial = False
        self._count = self._count_then = 0

    def saw(self, *, whole: int, partial: bool) -> None:
        """So many frames are whole now that were not; ``partial``: another one has begun."""
        self._count += whole
        self._partial = partial
        if partial and self._timer is None:
            self._arm()

    def stop(self) -> None:
        """The connection has ended. Idempotent."""
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
