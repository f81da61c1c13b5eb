"""The database's revisions: numbered steps, each applied once, in one transaction.

A step is never edited after a release; a new column is a new step. ``user_version`` holds the
number of applied steps.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from gaovm import errors

_FIRST = """
CREATE TABLE vms (
    name        TEXT PRIMARY KEY,
    project     TEXT NOT NULL,
    config_path TEXT NOT NULL,
    run_id      TEXT NOT NULL UNIQUE,
    spec        TEXT NOT NULL,
    spec_digest TEXT NOT NULL,
    desired     TEXT NOT NULL CHECK (desired IN ('stopped', 'running')),
    observed    TEXT NOT NULL,
    readiness   TEXT,
    first_up    TEXT NOT NULL CHECK (first_up IN ('pending', 'done', 'failed')),
    created_at  TEXT NOT NULL,
    started_at  TEXT,
    boot_id     TEXT,
    image       TEXT,
    facts       TEXT NOT NULL,
    last_error  TEXT,
    added_ports TEXT NOT NULL,
    disk_used   INTEGER NOT NULL DEFAULT 0,
    deleting    INTEGER NOT NULL DEFAULT 0
) STRICT
"""

_STAGED = (
    "ALTER TABLE vms ADD COLUMN base TEXT",
    "ALTER TABLE vms ADD COLUMN overrides TEXT NOT NULL DEFAULT '{}'",
    "ALTER TABLE vms ADD COLUMN pending TEXT",
    "ALTER TABLE vms ADD COLUMN restarts TEXT NOT NULL DEFAULT '{}'",
)
# AUTOINCREMENT: a number is never given twice, even after old events were dropped.
_EVENTS = """
CREATE TABLE events (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    ts      TEXT NOT NULL,
    type    TEXT NOT NULL,
    vm      TEXT,
    payload TEXT NOT NULL
) STRICT
"""

# Rows of vms that could not be read, as they were (JSON); only people look at them.
_QUARANTINE = """
CREATE TABLE quarantine (
    id     INTEGER PRIMARY KEY,
    at     TEXT NOT NULL,
    name   TEXT NOT NULL,
    reason TEXT NOT NULL,
    data   TEXT NOT NULL
) STRICT
"""

_TRUST = (
    "ALTER TABLE vms ADD COLUMN approved TEXT",
    "ALTER TABLE vms ADD COLUMN directory TEXT",
    "ALTER TABLE vms ADD COLUMN is_default INTEGER",
)
# The text of the project file that each VM's approval covers, to show what has changed since.
# It is large and rarely written, so it is not in the record's row.
_APPROVALS = """
CREATE TABLE approvals (
    vm      TEXT PRIMARY KEY,
    digest  TEXT NOT NULL,
    content TEXT NOT NULL
) STRICT
"""

# Event types in one family, payload keys in snake case. msgspec wrote the payloads, without blanks,
# and JSON escapes every quote inside a value, so a quoted key with its colon is only ever a key.
_EVENT_NAMES = (
    """UPDATE events SET type = 'vm.config.updated' WHERE type = 'config.updated'""",
    """UPDATE events SET type = 'vm.config.applied' WHERE type = 'config.pending_applied'""",
    """UPDATE events SET type = 'vm.config.discarded' WHERE type = 'config.pending_discarded'""",
    """UPDATE events SET type = 'vm.config.quarantined' WHERE type = 'config.quarantined'""",
    """UPDATE events SET type = 'vm.config.staged', payload =
       CASE type WHEN 'event.pending_config_replaced' THEN '{"replaced":true'
       ELSE '{"replaced":false' END
       || CASE payload WHEN '{}' THEN '}' ELSE ',' || substr(payload, 2) END
       WHERE type IN ('event.pending_config_written', 'event.pending_config_replaced')""",
    """UPDATE events SET payload = replace(payload, '"exitCode":', '"exit_code":')
       WHERE type = 'driver.exited'""",
    """UPDATE events SET payload = replace(payload, '"socketPath":', '"socket_path":')
       WHERE type = 'driver.started'""",
    """UPDATE events SET payload = replace(payload, '"io-error"', '"io_error"')
       WHERE type = 'vm.paused'""",
)

# Named disks: they belong to no VM. A crash may have interrupted what `state` says is under way.
_DISKS = """
CREATE TABLE disks (
    name       TEXT PRIMARY KEY,
    format     TEXT NOT NULL CHECK (format IN ('qcow2', 'raw')),
    size_bytes INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('making', 'ready', 'removing'))
) STRICT
"""
# A VM that nobody may remove.
_PROTECTED = ("ALTER TABLE vms ADD COLUMN protected INTEGER NOT NULL DEFAULT 0",)

#: Step n - 1 leads to revision n.
STEPS: tuple[tuple[str, ...], ...] = (
    (_FIRST,),
    (*_STAGED, _EVENTS),
    (_QUARANTINE,),
    (*_TRUST, _APPROVALS),
    _EVENT_NAMES,
    (_DISKS,),
    _PROTECTED,
)


def check(connection: sqlite3.Connection) -> None:
    """Look for damage.

    Raises:
        sqlite3.DatabaseError: the database is damaged.
    """
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise sqlite3.DatabaseError(verdict)


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Bring the database to the newest revision; each step is one transaction.

    Raises:
        errors.StateCorrupt: a newer GaoVM wrote the database; nothing changed.
    """
    (revision,) = connection.execute("PRAGMA user_version").fetchone()
    if revision > len(STEPS):
        raise errors.StateCorrupt(
            f"{path} has revision {revision}, but this gaovmd knows only {len(STEPS)}",
            remedy="use the newer GaoVM that wrote it, or another GAOVM_HOME",
        )
    for number in range(revision, len(STEPS)):
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in STEPS[number]:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number + 1}")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
