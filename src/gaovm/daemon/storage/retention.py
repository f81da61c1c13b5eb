"""Which events are kept: the newest, within a number, a size and an age."""

from __future__ import annotations

import sqlite3

from gaovm.aio import clock
from gaovm.daemon import stamps

#: A VM's start and stop make about 15 events: 50,000 are weeks of a busy machine.
MAX_EVENTS = 50_000
#: Of payload: keeps the check of the database at a start below 0.1 s.
MAX_BYTES = 32 << 20
#: Long enough to look into last weekend on the Monday after the next.
MAX_AGE_S = 7 * 86_400
#: Events dropped at a time: a write that comes meanwhile waits a millisecond or two.
BITE = 500
#: How quiet it must be before old events are dropped.
QUIET_S = 0.2
#: How often age is looked at.
AGE_CHECK_S = 3600.0
#: How long to leave it alone after a failure, as on a full disk.
RETRY_S = 60.0
#: Beyond the limits by this much nobody waits for a quiet moment.
_URGENT = 1.1
_OLDEST = "SELECT seq, length(payload), ts FROM events ORDER BY seq LIMIT ?"


class Retention:
    """Drops the oldest events. Lives in the writer's thread; ``oldest`` may be read anywhere."""

    def __init__(self, last: int, oldest: int) -> None:
        self.oldest = oldest
        """The number of the oldest event that is kept; one more than the last when none is."""
        self._last = last
        self._bytes: int | None = None  # counted when first needed: a start has no time for it
        self._age_check = clock.monotonic() + QUIET_S
        self._held_until = 0.0

    def appended(self, seq: int, size: int) -> None:
        """An event was written."""
        self._last = seq
        if self._bytes is not None:
            self._bytes += size

    def due_s(self) -> float | None:
        """Seconds until something may have to go."""
        now = clock.monotonic()
        if now < self._held_until:
            return self._held_until - now
        if self._over(1.0):
            return 0.0 if self._over(_URGENT) else QUIET_S
        return self._age_check - now

    def urgent(self) -> bool:
        """Whether the log has outgrown its limits for lack of a quiet moment."""
        return self._over(_URGENT) and clock.monotonic() >= self._held_until

    def _over(self, factor: float) -> bool:
        count = self._last - self.oldest + 1
        return count > MAX_EVENTS * factor or (self._bytes or 0) > MAX_BYTES * factor

    def run(self, connection: sqlite3.Connection) -> None:
        """Drop up to ``BITE`` events that are too many, too much or too old."""
        if clock.monotonic() < self._held_until:
            return
        if self._bytes is None:
            total = connection.execute("SELECT total(length(payload)) FROM events").fetchone()
            self._bytes = int(total[0])
        cutoff = stamps.of(clock.now() - MAX_AGE_S)
        found = connection.execute(_OLDEST, (BITE,)).fetchall()
        dropped = 0
        oldest, size = self.oldest, self._bytes
        for seq, length, ts in found:
            if not (self._over(1.0) or ts < cutoff):
                break
            self.oldest, self._bytes = seq + 1, self._bytes - length
            dropped += 1
        if dropped < BITE:
            self._age_check = clock.monotonic() + AGE_CHECK_S
        if not dropped:
            return
        try:
            connection.execute("DELETE FROM events WHERE seq < ?", (self.oldest,))
        except sqlite3.Error:
            self.oldest, self._bytes = oldest, size
            self._held_until = clock.monotonic() + RETRY_S
            raise
