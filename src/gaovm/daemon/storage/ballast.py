"""A space reserve for the database: a file that the daemon gives up when the disk is full.

The daemon must record a stop on a full disk too. A commit needs some pages of SQLite's log, and
opening the database needs some more. The daemon takes the freed space at once, as room in that log
(``wal_preallocation``), before a guest that writes can take it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
from pathlib import Path

from gaovm.aio import clock
from gaovm.daemon.storage import wal_preallocation
from gaovm.platform import space

logger = logging.getLogger(__name__)

#: The room in the log, and what SQLite needs beside it.
BYTES = wal_preallocation.ROOM_BYTES + (512 << 10)
QUIET_S = 0.3
#: The pause before the daemon makes the file again.
RETRY_S = 60.0


def path_of(database: Path) -> Path:
    """Return the path of a database's reserve file."""
    return database.with_name("state.reserve")


class Ballast:
    """Makes the file at a quiet moment. Lives in the writer's thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._due: float | None = clock.monotonic() + QUIET_S

    def due_s(self) -> float | None:
        """Return the seconds until the next attempt; None: the file is there."""
        return None if self._due is None else max(QUIET_S, self._due - clock.monotonic())

    def urgent(self) -> bool:
        """Return False: the file can always wait for a quiet moment."""
        return False

    def run(self, connection: sqlite3.Connection) -> None:
        """Make the file, if it is missing and there is space."""
        now = clock.monotonic()
        if self._due is not None and now >= self._due:
            self._due = None if make(self.path) else now + RETRY_S

    def give_up(self, connection: sqlite3.Connection) -> bool:
        """Turn the file into room in the database's log; False if there was no file."""
        self._due = clock.monotonic() + RETRY_S
        if not release(self.path):
            return False
        with contextlib.suppress(sqlite3.OperationalError):  # then anybody may use the space
            wal_preallocation.make(connection, wal_preallocation.ROOM_BYTES)
        return True


def make(path: Path) -> bool:
    """Make the file, whole or not at all; return whether it is there. Logs a failure."""
    with contextlib.suppress(OSError):
        if path.stat().st_size >= BYTES:
            return True
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            space.reserve(fd, BYTES)
        except OSError:
            path.unlink()
            raise
        finally:
            os.close(fd)
    except OSError as exc:
        logger.info("no space is kept for the database: %s", exc.strerror)
        return False
    return True


def release(path: Path) -> bool:
    """Remove the file; return whether there was one."""
    try:
        path.unlink()
    except OSError:
        return False
    logger.warning("the disk is full: %s was given up for the database", path)
    return True
