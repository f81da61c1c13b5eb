"""The database of the daemon: one row per VM and the log of events, durable when a call returns.

SQLite in WAL mode with full sync. One thread writes (``writer``), another one reads what is too
much for memory, so the event loop never waits for a disk. Readers of records do not come here: the
registry holds every record in memory.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from concurrent import futures
from pathlib import Path
from typing import Any, TypeVar

from gaovm import errors
from gaovm.aio import files
from gaovm.daemon import quarantine, records, rows, schema, upkeep, writer

logger = logging.getLogger(__name__)

Result = TypeVar("Result")


class Store:
    """The open database. What ``put`` and ``remove`` return is done when the change is on disk.

    Changes made within one turn of the event loop, a record and its events say, are on disk
    together or not at all.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self.path = path
        self.upkeep = upkeep.Upkeep()
        self._connection = connection
        self._listeners: list[Callable[[list[Any]], None]] = []
        self._writer = writer.Writer(connection, self.upkeep, self._on_commit)
        self._reading: sqlite3.Connection | None = None
        self._reader = futures.ThreadPoolExecutor(1, thread_name_prefix="store-read")

    def load(self) -> list[records.VmRecord]:
        """Every record; for start-up, before the loop runs.

        Raises:
            errors.StateCorrupt: a row does not hold what it must.
        """
        found = self._connection.execute(f"SELECT {rows.COLUMNS} FROM vms ORDER BY name")
        return [rows.decode(row) for row in found.fetchall()]

    def put(self, record: records.VmRecord) -> asyncio.Future[None]:
        """Store the record, replacing the one of that name; begun at once, in call order."""
        values = rows.encode(record)
        return self.write(lambda connection: _execute(connection, rows.PUT, values))

    def remove(self, name: str) -> asyncio.Future[None]:
        """Forget a VM; unknown names are fine."""
        statement = "DELETE FROM vms WHERE name = ?"
        return self.write(lambda connection: _execute(connection, statement, (name,)))

    def flush(self) -> asyncio.Future[None]:
        """Done when everything written so far is on disk."""
        return self.write(_nothing)

    def drain(self) -> None:
        """Return when everything written so far is on disk; the event loop stands still."""
        self._writer.drain()

    def write(self, work: Callable[[sqlite3.Connection], Result]) -> asyncio.Future[Result]:
        """Run ``work`` in the writer's thread, in call order; done when what it did is on disk.

        ``work`` may run twice (in another transaction, when the first one failed).
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

    def close(self) -> None:
        """Finish what is queued and close the file. Idempotent."""
        self._writer.close()
        self._reader.shutdown(wait=True)
        if self._reading is not None:
            self._reading.close()
        self._connection.close()


def open_store(path: Path) -> Store:
    """Open or create the database and bring it to the newest revision. The file gets mode 0600.

    Raises:
        errors.StateCorrupt: the file is damaged (it was moved aside, the message says where, and
            the next start begins with an empty database), or it is of a newer GaoVM (it was left
            alone).
    """
    if not path.exists():
        path.touch(mode=0o600)
        files.sync_directory(path.parent)  # SQLite sees to the names of its other files only
    try:
        connection = _connect(path)
    except sqlite3.DatabaseError as exc:
        kept = quarantine.aside(path, "-wal", "-shm")
        raise errors.StateCorrupt(
            f"{path} is damaged ({exc}); it was moved to {kept}",
            remedy=f"put a good copy back as {path}, or start again with no VMs known",
            details={"quarantined": str(kept)},
        ) from exc
    return Store(connection, path)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise sqlite3.DatabaseError(verdict)
        schema.migrate(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _execute(connection: sqlite3.Connection, statement: str, values: tuple[Any, ...]) -> None:
    connection.execute(statement, values)


def _nothing(connection: sqlite3.Connection) -> None:
    pass
