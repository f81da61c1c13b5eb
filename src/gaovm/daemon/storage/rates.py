"""Limit the events that a guest causes: a number at once, and then one a second.

A guest decides how often its agent restarts, and each restart is an event. The daemon counts the
events that it leaves out, and reports them in one event (``events.suppressed``).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping

from gaovm.aio import clock

#: A boot makes 5 events: even a guest that reboots again and again for minutes loses none.
BURST = 100.0
PER_S = 1.0
#: Seconds after the first event that was left out.
TELL_S = 10.0


class _Bucket:
    """The events that one VM may still report, and those left out since the last report."""

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
    """A bucket for every VM; ``tell`` writes the event that reports what was left out."""

    def __init__(self, tell: Callable[[str, Mapping[str, int]], None]) -> None:
        self._tell = tell
        self._buckets: dict[str, _Bucket] = {}

    def admit(self, vm: str, kind: str) -> bool:
        """Whether to write one more event of this VM's guest; count it if not."""
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
        """Report what was left out for a VM that was removed."""
        bucket = self._buckets.pop(vm, None)
        if bucket is not None:
            self._flush(vm, bucket)

    def close(self) -> None:
        """Report everything that was left out."""
        for vm in list(self._buckets):
            self.forget(vm)
