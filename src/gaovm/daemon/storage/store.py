"""The database of the daemon: one row per VM and the log of events, durable when a call returns.

SQLite in WAL mode with full sync. One thread writes (``writer``). Another thread reads what is too
large for memory, so the event loop never waits for a disk. Readers of records do not come here: the
fleet's machines hold every record in memory.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Sequence
from concurrent import futures
from pathlib import Path
from typing import Any, TypeVar

from gaovm import errors
from gaovm.aio import files, threads
from gaovm.daemon.storage import (
    backup,
    ballast,
    quarantine,
    records,
    row_repair,
    rows,
    schema,
    upkeep,
    wal_preallocation,
    writer,
)
from gaovm.wire.control import process

logger = logging.getLogger(__name__)

Result = TypeVar("Result")


class Store:
    """The open database. An awaitable of ``put`` or ``remove`` is done when the change is on disk.

    Changes within one turn of the event loop, such as a record and its events, are on disk together
    or not at all.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path,
        recovered: process.Recovered | None = None,
        mended: Sequence[str] = (),
    ) -> None:
        self.path = path
        self.recovered = recovered
        """How the database was recovered at this start; None: it was whole."""
        self.mended = mended
        """The VMs whose rows were set aside at this start."""
        self.upkeep = upkeep.Upkeep()
        self._backup = backup.Backup(self._begin_copy)
        self.upkeep.add(self._backup)
        self.upkeep.add(wal_preallocation.Preallocation())
        kept = ballast.Ballast(ballast.path_of(path))
        self.upkeep.add(kept)
        self._connection = connection
        self._listeners: list[Callable[[list[Any]], None]] = []
        self._writer = writer.Writer(connection, self.upkeep, self._on_commit, kept.give_up)
        self._closed = False
        self._forsaken = False
        self._reading: sqlite3.Connection | None = None
        self._reader = futures.ThreadPoolExecutor(
            1, thread_name_prefix="store-read", initializer=threads.leave_signals
        )

    def load(self) -> list[records.VmRecord]:
        """Return every record; for start-up, before the loop runs.

        Raises:
            errors.StateCorrupt: a row has a wrong value.
        """
        found = self._connection.execute(f"SELECT {rows.COLUMNS} FROM vms ORDER BY name")
        return [rows.decode(row) for row in found.fetchall()]

    def put(self, record: records.VmRecord) -> asyncio.Future[None]:
        """Store a record in place of the one with its name; begins at once, in call order."""
        values = rows.encode(record)
        return self.write(lambda connection: self._change(connection, rows.PUT, values))

    def remove(self, name: str) -> asyncio.Future[None]:
        """Forget a VM; unknown names are fine."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM approvals WHERE vm = ?", (name,))
            self._change(connection, "DELETE FROM vms WHERE name = ?", (name,))

        return self.write(work)

    def keep_approved(self, name: str, digest: str, content: str) -> asyncio.Future[None]:
        """Keep the text of the file that a VM's approval covers."""
        statement = "INSERT OR REPLACE INTO approvals (vm, digest, content) VALUES (?, ?, ?)"
        values = (name, digest, content)
        return self.write(lambda connection: self._change(connection, statement, values))

    def approved_text(self, name: str, digest: str) -> asyncio.Future[str | None]:
        """Return the stored text of the file that the approval with this digest covers, if any.

        Raises (from the awaitable):
            errors.StateCorrupt: the database cannot be read.
        """
        statement = "SELECT content FROM approvals WHERE vm = ? AND digest = ?"

        def work(connection: sqlite3.Connection) -> str | None:
            row = connection.execute(statement, (name, digest)).fetchone()
            return None if row is None else str(row[0])

        return self.read(work)

    def _change(self, connection: sqlite3.Connection, statement: str, values: Any) -> None:
        connection.execute(statement, values)
        self._backup.changed()

    def flush(self) -> asyncio.Future[None]:
        """Wait until everything written so far is on disk."""
        return self.write(_nothing)

    def drain(self) -> None:
        """Block the event loop until everything written so far is on disk."""
        self._writer.drain()

    def write(self, work: Callable[[sqlite3.Connection], Result]) -> asyncio.Future[Result]:
        """Run ``work`` in the writer's thread, in call order; done when its changes are on disk.

        ``work`` may run twice (in another transaction, if the first one failed).
        """
        return self._writer.add(work)

    def read(self, work: Callable[[sqlite3.Connection], Result]) -> asyncio.Future[Result]:
        """Run a query beside the writer, on a connection that cannot write; keep it short.

        Raises (from the awaitable):
            errors.StateCorrupt: the database cannot be read.
        """
        return asyncio.get_running_loop().run_in_executor(self._reader, self._read, work)

    def look(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """Run a query at once, in the caller's thread; for start-up, before anybody writes."""
        return work(self._connection)

    def listen(self, callback: Callable[[list[Any]], None]) -> None:
        """Give the results of every commit, in order, to ``callback``, before callers hear."""
        self._listeners.append(callback)

    def _on_commit(self, results: list[Any]) -> None:
        for callback in self._listeners:
            callback(results)

    def _read(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        try:
            if self._reading is None:
                self._reading = sqlite3.connect(
                    self.path, isolation_level=None, check_same_thread=False, timeout=5.0
                )
                self._reading.execute("PRAGMA query_only = ON")
            return work(self._reading)
        except sqlite3.DatabaseError as exc:
            raise errors.StateCorrupt(f"the state database cannot be read: {exc}") from exc

    def forsake(self) -> None:
        """Stop making copies: another daemon may have its own files in this place."""
        self._forsaken = True

    def _begin_copy(self) -> None:
        if not self._forsaken:
            self._reader.submit(self._copy)

    def _copy(self) -> None:
        try:
            self._read(lambda reading: backup.make(reading, backup.path_of(self.path)))
        except errors.GaoError as exc:
            logger.error("the copy of the state database was not made: %s", exc)
            self._backup.changed()

    def close(self) -> None:
        """Finish what is queued, copy what has changed, and close the file. Idempotent."""
        self._writer.close()
        if self._backup.stale and not self._closed:
            self._begin_copy()
        self._closed = True
        self._reader.shutdown(wait=True)
        if self._reading is not None:
            self._reading.close()
        self._connection.close()


def open_store(path: Path) -> Store:
    """Open or create the database and bring it to the newest revision. The file gets mode 0600.

    If it is damaged, move it aside and make a new one from the last good copy (``backup``); the
    store's ``recovered`` then says so, and so does the event ``state.recovered``.

    Raises:
        errors.StateCorrupt: the file is damaged and there is no good copy (the file was moved aside
            to the path in the message, and the next start begins with an empty database), or the
            file is from a newer GaoVM (it was left alone).
        errors.HostError: it cannot be opened; it was left alone.
    """
    recovered: process.Recovered | None = None
    is_new = not path.exists() or _is_emptied(path)
    if is_new:
        recovered = _begin(path)
    try:
        connection = _connect_with_space(path)
    except sqlite3.DatabaseError as exc:
        if _code(exc) in _NOT_DAMAGE:
            raise _cannot_open(path, exc) from exc
        recovered = _replace(path, exc)
        connection = _connect(path)
    if is_new and recovered is None and _follows_another(path):
        backup.leap(connection)
    mended = row_repair.mend(connection, backup.path_of(path))
    return Store(connection, path, recovered, mended)


def _is_emptied(path: Path) -> bool:
    """Whether a database that once held something is an empty file now."""
    log = path.with_name(path.name + "-wal")
    return path.stat().st_size == 0 and not log.exists() and backup.path_of(path).exists()


def _begin(path: Path) -> process.Recovered | None:
    """Create the missing database, from the backup if a recovery was interrupted."""
    for suffix in ("-wal", "-shm"):  # left by another file: SQLite would apply them to this one
        stray = path.with_name(path.name + suffix)
        if stray.exists():
            quarantine.aside(stray)
    try:
        return backup.restore(path, f"{path} was missing", None)
    except errors.NotFound:
        path.touch(mode=0o600)
        files.sync_directory(path.parent)  # SQLite syncs the names of its other files only
        return None


def _follows_another(path: Path) -> bool:
    """Whether a database was lost here without a backup; then do not repeat its event numbers."""
    return any(path.parent.glob(f"{path.name}.corrupt-*"))


def _replace(path: Path, exc: sqlite3.DatabaseError) -> process.Recovered:
    kept = quarantine.aside(path, "-wal", "-shm")
    reason = f"{path} is damaged ({exc}); it was moved to {kept}"
    try:
        found = backup.restore(path, reason, str(kept))
    except (errors.NotFound, errors.StateCorrupt) as failure:
        raise errors.StateCorrupt(
            f"{reason}; {failure}",
            remedy=f"put a good copy back as {path}, or start again with no VMs known",
            details={"quarantined": str(kept)},
        ) from exc
    logger.error("%s; the copy of %s replaced it", reason, found.copied_at)
    return found


# a full disk, another process or a missing right causes these errors: the file is not damaged
_NOT_DAMAGE = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
}


def _code(exc: sqlite3.DatabaseError) -> int:
    """Return SQLite's error code; damage that only our check found has no code."""
    return getattr(exc, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF


def _cannot_open(path: Path, exc: sqlite3.DatabaseError) -> errors.HostError:
    if _code(exc) == sqlite3.SQLITE_FULL:
        return errors.DiskFull(f"{path} cannot be opened: {exc}")
    return errors.HostError(f"{path} cannot be opened: {exc}")


def _connect_with_space(path: Path) -> sqlite3.Connection:
    """Open the database; on a full disk give up the reserved space."""
    try:
        return _connect(path)
    except sqlite3.DatabaseError as exc:
        if _code(exc) not in _NOT_DAMAGE or not ballast.release(ballast.path_of(path)):
            raise
        return _connect(path)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        schema.check(connection)
        schema.migrate(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _nothing(connection: sqlite3.Connection) -> None:
    pass
