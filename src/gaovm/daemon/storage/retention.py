"""Decide which events are kept: the newest, up to a number, a size and an age.

If there are too many, the VM with the most events loses its oldest ones. So one VM's events,
however many, never displace another VM's history.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from gaovm.aio import clock
from gaovm.daemon import timestamps

#: A VM's start and stop make about 15 events: a busy machine makes 50,000 in weeks.
MAX_EVENTS = 50_000
#: Bytes of payload: this keeps the check of the database at a start below 0.1 s.
MAX_BYTES = 32 << 20
#: Long enough to look into the events of a weekend during the week after it.
MAX_AGE_S = 7 * 86_400
#: The number of events to drop at a time: a write that comes meanwhile waits a millisecond or two.
BITE = 500
#: Seconds without a write before old events are dropped.
QUIET_S = 0.2
#: The pause between looks for events that are too old.
AGE_CHECK_S = 3600.0
#: The pause after a failure, for example on a full disk.
RETRY_S = 60.0
#: If the log exceeds a limit by this factor, it is cut without waiting for a quiet moment.
_URGENT = 1.1
_OLD = "SELECT seq, vm, length(payload) FROM events WHERE ts < ? ORDER BY seq LIMIT ?"
_OLDEST_OF = "SELECT seq, length(payload) FROM events WHERE vm IS ? ORDER BY seq LIMIT ?"
_COUNT = "SELECT vm, count(*), total(length(payload)) FROM events GROUP BY vm"


class _Share:
    """The stored events of one VM, or those of the daemon itself, which belong to no VM."""

    __slots__ = ("count", "size")

    def __init__(self, count: int = 0, size: int = 0) -> None:
        self.count = count
        self.size = size

    def add(self, count: int, size: int) -> None:
        self.count += count
        self.size += size


_Shares = dict[str | None, _Share]


class Retention:
    """Drops events. Lives in the writer's thread; any thread may read ``oldest``."""

    def __init__(self, last: int, oldest: int) -> None:
        self.oldest = oldest
        """The number of the oldest event that is kept; one more than the last if none is."""
        self._last = last
        self._shares: _Shares | None = None  # counted at first need, because a start must be quick
        self._all = _Share()
        self._doubtful = False
        self._age_check = clock.monotonic() + QUIET_S
        self._held_until = 0.0

    def appended(self, seq: int, vm: str | None, size: int) -> None:
        """Note that an event was written."""
        self._last = seq
        if self._shares is not None:
            self._add(vm, 1, size)

    def doubt(self) -> None:
        """Count again: a write failed after its events were counted. From any thread."""
        self._doubtful = True

    def due_s(self) -> float | None:
        """Return the seconds until events may have to be dropped."""
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
        # Before the events are counted, their numbers bound how many there are.
        count = self._last - self.oldest + 1 if self._shares is None else self._all.count
        return count > MAX_EVENTS * factor or self._all.size > MAX_BYTES * factor

    def run(self, connection: sqlite3.Connection) -> None:
        """Drop up to ``BITE`` events: too old ones, or those of the VM with the most."""
        now = clock.monotonic()
        if now < self._held_until:
            return
        try:
            shares = self._counted(connection)
            if now >= self._age_check and not self._drop_old(connection):
                self._age_check = now + AGE_CHECK_S
            if self._over(1.0):
                self._drop_most(connection, shares)
        except sqlite3.Error:
            self._held_until = clock.monotonic() + RETRY_S
            raise

    def _counted(self, connection: sqlite3.Connection) -> _Shares:
        shares = self._shares
        if shares is None or self._doubtful:
            rows = connection.execute(_COUNT).fetchall()
            self._doubtful = False
            shares = self._shares = {}
            self._all = _Share()
            for vm, count, size in rows:
                self._add(vm, count, int(size))
        return shares

    def _add(self, vm: str | None, count: int, size: int) -> None:
        if self._shares is None:
            return
        share = self._shares.setdefault(vm, _Share())
        share.add(count, size)
        self._all.add(count, size)
        if not share.count:
            del self._shares[vm]

    def _drop_old(self, connection: sqlite3.Connection) -> bool:
        """Drop events that are too old; return whether there were any."""
        cutoff = timestamps.of(clock.now() - MAX_AGE_S)
        found = connection.execute(_OLD, (cutoff, BITE)).fetchall()
        if found:
            # the clock may have gone back: drop only what is really old
            self._drop(connection, "seq <= ? AND ts < ?", (found[-1][0], cutoff))
            for _, vm, size in found:
                self._add(vm, -1, -size)
        return bool(found)

    def _drop_most(self, connection: sqlite3.Connection, shares: _Shares) -> None:
        """Drop the oldest events of the VM that has the most, or the most bytes if those exceed."""
        too_large = self._all.size > MAX_BYTES
        vm = max(shares, key=lambda each: shares[each].size if too_large else shares[each].count)
        count, size = self._all.count - MAX_EVENTS, self._all.size - MAX_BYTES
        dropped = freed = 0
        last = 0
        for seq, length in connection.execute(_OLDEST_OF, (vm, BITE)).fetchall():
            if dropped >= count and freed >= size:
                break
            last, dropped, freed = seq, dropped + 1, freed + length
        self._drop(connection, "seq <= ? AND vm IS ?", (last, vm))
        self._add(vm, -dropped, -freed)

    def _drop(self, connection: sqlite3.Connection, which: str, values: tuple[Any, ...]) -> None:
        stays = f"SELECT seq FROM events WHERE NOT ({which}) ORDER BY seq LIMIT 1"
        found = connection.execute(stays, values).fetchone()
        # Before the deletion: a reader must not conclude that dropped events never existed.
        before, self.oldest = self.oldest, self._last + 1 if found is None else found[0]
        try:
            connection.execute(f"DELETE FROM events WHERE {which}", values)
        except sqlite3.Error:
            self.oldest = before
            raise
