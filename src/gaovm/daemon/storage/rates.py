"""How often a guest may be told of: so many events at once, and then one a second.

A guest decides how often its agent begins anew, and each time is an event. What is left out is
counted, and told in one event of its own (``events.suppressed``).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping

from gaovm.aio import clock

#: A boot makes 5; a guest that is rebooted again and again for minutes is told of in full.
BURST = 100.0
PER_S = 1.0
#: After the first that was left out.
TELL_S = 10.0


class _Bucket:
    """What one VM may still say, and what was left out of it since it was last told."""

    __slots__ = ("at", "left", "suppressed", "timer")

    def __init__(self) -> None:
        self.left = BURST
        self.at = clock.monotonic()
        self.suppressed: Counter[str] = Counter()
        self.timer: asyncio.TimerHandle | None = None

    def take(self) -> bool:
        now = clock.monotonic()
        self.left = min(BURST, self.left + (now - self.at) * PER_S)
        self.at = now
        if self.left < 1.0:
            return False
        self.left -= 1.0
        return True


class Rates:
    """A bucket for every VM; ``tell`` writes the event of what was left out."""

    def __init__(self, tell: Callable[[str, Mapping[str, int]], None]) -> None:
        self._tell = tell
        self._buckets: dict[str, _Bucket] = {}

    def admit(self, vm: str, kind: str) -> bool:
        """Whether one more event of that VM's guest is written; else it is counted."""
        bucket = self._buckets.get(vm)
        if bucket is None:
            bucket = self._buckets[vm] = _Bucket()
        if bucket.take():
            return True
        bucket.suppressed[kind] += 1
        if bucket.timer is None:
            loop = asyncio.get_running_loop()
            bucket.timer = loop.call_later(TELL_S, self._flush, vm, bucket)
        return False

    def _flush(self, vm: str, bucket: _Bucket) -> None:
        if bucket.timer is not None:
            bucket.timer.cancel()
            bucket.timer = None
        types, bucket.suppressed = bucket.suppressed, Counter()
        if types:
            self._tell(vm, types)

    def forget(self, vm: str) -> None:
        """A VM was removed: tell what is left to tell of it."""
        bucket = self._buckets.pop(vm, None)
        if bucket is not None:
            self._flush(vm, bucket)

    def close(self) -> None:
        """Tell what is left to tell."""
        for vm in list(self._buckets):
            self.forget(vm)
