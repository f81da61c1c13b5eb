"""The last good copy of the records: ``state.backup.db``, and recovery of a lost database.

The copy holds every record, but not the log of events. It is always whole: written beside the old
one, synced, renamed. The daemon makes it soon after a start (the database has just been checked),
after changes at most every ten seconds, and at a graceful end.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import msgspec

from gaovm import errors
from gaovm.aio import clock, files
from gaovm.daemon import timestamps
from gaovm.daemon.storage import quarantine, schema
from gaovm.wire.control import payloads

#: A damaged database costs at most this: the changes of the last seconds.
EVERY_S = 10.0
#: A copy waits until nothing was written for ``QUIET_S``; a busy daemon delays it by ``PUT_OFF_S``
#: at most.
QUIET_S = 0.5
PUT_OFF_S = 60.0


def path_of(database: Path) -> Path:
    """Return where a database's copy lies."""
    return database.with_name("state.backup.db")


class Backup:
    """Knows when a copy is due; ``start`` makes one outside the writer's thread."""

    def __init__(self, start: Callable[[], None]) -> None:
        self._start = start
        self._last = clock.monotonic() - EVERY_S
        self._since: float | None = clock.monotonic()

    @property
    def stale(self) -> bool:
        """Whether records have changed since the last copy."""
        return self._since is not None

    def changed(self) -> None:
        """Note that a record was written or removed."""
        if self._since is None:
            self._since = clock.monotonic()

    def due_s(self) -> float | None:
        """Return the seconds until a copy is due."""
        if self._since is None:
            return None
        return max(self._last + EVERY_S - clock.monotonic(), QUIET_S)

    def urgent(self) -> bool:
        """Whether the copy has been delayed for too long."""
        return self._since is not None and clock.monotonic() - self._since > PUT_OFF_S

    def run(self, connection: sqlite3.Connection) -> None:
        """Begin a copy if it is due."""
        if self._since is None or clock.monotonic() < self._last + EVERY_S:
            return
        self._since, self._last = None, clock.monotonic()
        self._start()


def make(source: sqlite3.Connection, target: Path) -> None:
    """Write a copy of the records; the old copy stays until the new one is whole.

    Raises:
        errors.HostError, sqlite3.DatabaseError: it failed; nothing has changed.
    """

    def fill(copy: sqlite3.Connection) -> None:
        source.execute("BEGIN")
        try:
            found = source.execute("SELECT * FROM vms").fetchall()
            last = source.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'")
            number = (last.fetchone() or (0,))[0]
        finally:
            source.execute("COMMIT")
        if found:
            marks = ", ".join("?" * len(found[0]))
            copy.executemany(f"INSERT INTO vms VALUES ({marks})", found)
        _number(copy, number)

    _build(target, None, fill)


def restore(database: Path, reason: str, quarantined: str | None) -> payloads.StateRecovered:
    """Make a database from the copy, with the event ``state.recovered``; return its payload.

    Event numbers continue from the time in milliseconds, which is above all numbers that the lost
    log has given.

    Raises:
        errors.NotFound: there is no copy.
        errors.StateCorrupt: the copy is damaged or from a newer GaoVM.
        errors.HostError: the database cannot be written; nothing has changed.
    """
    copy = path_of(database)
    if not copy.exists():
        raise errors.NotFound(f"there is no {copy}")
    told: list[payloads.StateRecovered] = []

    def fill(made: sqlite3.Connection) -> None:
        (count,) = made.execute("SELECT count(*) FROM vms").fetchone()
        payload = payloads.StateRecovered(
            reason=reason,
            quarantined=quarantined,
            copied_at=timestamps.of(copy.stat().st_mtime),
            vms=count,
        )
        leap(made)
        made.execute(
            "INSERT INTO events (ts, type, vm, payload) VALUES (?, ?, NULL, ?)",
            (timestamps.now(), payload.TYPE, msgspec.json.encode(payload).decode()),
        )
        told.append(payload)

    try:
        _build(database, copy.read_bytes(), fill)
    except sqlite3.DatabaseError as exc:
        kept = quarantine.aside(copy)
        raise errors.StateCorrupt(
            f"the copy {copy} is damaged ({exc}); it was moved to {kept}",
            remedy=f"put a good copy back as {database}, or start again with no VMs known",
            details={"quarantined": str(kept)},
        ) from exc
    return told[0]


def leap(connection: sqlite3.Connection) -> None:
    """Let event numbers continue from the time in milliseconds, if that is higher."""
    (last,) = connection.execute("SELECT coalesce(max(seq), 0) FROM sqlite_sequence").fetchone()
    # two statements: after a crash between them numbers begin with 1, but nobody heard of any
    _number(connection, max(last, int(clock.now() * 1000)))


def _number(connection: sqlite3.Connection, last: int) -> None:
    connection.execute("DELETE FROM sqlite_sequence WHERE name = 'events'")
    connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('events', ?)", (last,))


def _build(target: Path, content: bytes | None, fill: Callable[[sqlite3.Connection], None]) -> None:
    """Make a database at ``target``, from ``content`` or empty; it is whole before it is named."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        files.write_synced(temporary, content or b"")
        with contextlib.closing(sqlite3.connect(temporary, isolation_level=None)) as made:
            # nobody sees the file before it is synced as a whole, below
            made.execute("PRAGMA journal_mode = MEMORY")
            made.execute("PRAGMA synchronous = OFF")
            schema.check(made)
            schema.migrate(made, temporary)
            made.execute("BEGIN")
            fill(made)
            made.execute("COMMIT")
        files.sync_file(temporary)
        temporary.replace(target)
        files.sync_directory(target.parent)
    except OSError as exc:
        raise files.errors_of(exc, f"cannot write {target}") from exc
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
