"""Make room in SQLite's write-ahead log before it is needed.

A commit that makes the log longer also waits for the file system's journal, a kernel thread that
may be busy for others. A commit that fits the log's present length waits for its own bytes only.
Measured on ext4: 0.14 ms instead of 0.25 ms. The worst case, while the kernel frees a hypervisor's
memory: 1.4 ms instead of 3.7 ms. After each checkpoint SQLite writes from the log's beginning
again, but it deletes the log with the last connection.
"""

from __future__ import annotations

import logging
import sqlite3

logger = logging.getLogger(__name__)

#: What SQLite writes to the log before a checkpoint: 1,000 pages by default.
ROOM_BYTES = 1000 * 4096
#: Seconds without a write before the room is made; a write that comes meanwhile waits some 8 ms.
QUIET_S = 0.2
_PAGE_BYTES = 4096
#: Pages kept in memory meanwhile; the other pages go to the log.
_CACHE_PAGES = 16


class Preallocation:
    """Makes the room once, at the first quiet moment. Lives in the writer's thread."""

    def __init__(self) -> None:
        self._tried = False

    def due_s(self) -> float | None:
        """Return the seconds without a write until the room is made; None: that was tried."""
        return None if self._tried else QUIET_S

    def urgent(self) -> bool:
        """Return False: it only saves time."""
        return False

    def run(self, connection: sqlite3.Connection) -> None:
        """Make the room once; do nothing on a full disk."""
        if self._tried:
            return
        self._tried = True
        try:
            make(connection, ROOM_BYTES)
        except sqlite3.OperationalError as exc:
            logger.info("no room was made in the database's log: %s", exc)


def make(connection: sqlite3.Connection, room_bytes: int) -> None:
    """Write ``room_bytes`` to the log and roll back: only the log's length changes.

    Raises:
        sqlite3.OperationalError: the disk is full; nothing has changed.
    """
    (cache,) = connection.execute("PRAGMA cache_size").fetchone()
    connection.execute(f"PRAGMA cache_size = {_CACHE_PAGES}")
    try:
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.execute("CREATE TABLE room (filler)")
            filler = room_bytes + _CACHE_PAGES * _PAGE_BYTES
            connection.execute("INSERT INTO room VALUES (zeroblob(?))", (filler,))
        finally:
            if connection.in_transaction:  # after some failures SQLite has rolled back already
                connection.execute("ROLLBACK")
    finally:
        connection.execute(f"PRAGMA cache_size = {cache}")
    # This commit syncs all of it, so that the next commit has less to wait for.
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    connection.execute(f"PRAGMA user_version = {version}")
