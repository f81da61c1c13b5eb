"""Set aside rows that cannot be read, one by one, so that one VM's damage harms no other VM.

The row goes to the table ``quarantine`` as it is. If the last good copy has the row, the copy
replaces it. The event ``state.row_quarantined`` reports it, in the same commit.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from pathlib import Path
from typing import Any

import msgspec

from gaovm import errors
from gaovm.daemon import timestamps
from gaovm.daemon.storage import rows
from gaovm.wire.control import payloads

logger = logging.getLogger(__name__)

_SELECT = f"SELECT rowid, {rows.COLUMNS} FROM vms ORDER BY rowid"
_NAMES = rows.COLUMNS.split(", ")


def mend(connection: sqlite3.Connection, copy: Path) -> list[str]:
    """Set aside every record that cannot be decoded; return the names of their VMs.

    For start-up, before anybody writes or counts events.
    """
    connection.text_factory = bytes  # text that is not UTF-8 must not end the query
    try:
        found = connection.execute(_SELECT).fetchall()
    finally:
        connection.text_factory = str
    mended = []
    for rowid, *values in found:
        try:
            rows.decode(tuple(_text(value) for value in values))
        except (errors.StateCorrupt, UnicodeDecodeError) as exc:
            mended.append(_set_aside(connection, copy, rowid, values, str(exc)))
    return mended


def _text(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value


def _set_aside(
    connection: sqlite3.Connection, copy: Path, rowid: int, values: list[Any], reason: str
) -> str:
    shown = [v.decode(errors="backslashreplace") if type(v) is bytes else v for v in values]
    fields = dict(zip(_NAMES, shown, strict=True))
    name = str(fields["name"])
    good = _good_row(copy, name)
    told = payloads.StateRowQuarantined(reason=reason, restored=good is not None)
    now = timestamps.now()
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute(
            "INSERT INTO quarantine (at, name, reason, data) VALUES (?, ?, ?, ?)",
            (now, name, reason, msgspec.json.encode(fields).decode()),
        )
        connection.execute("DELETE FROM vms WHERE rowid = ?", (rowid,))
        if good is not None:
            connection.execute(rows.PUT, good)
        connection.execute(
            "INSERT INTO events (ts, type, vm, payload) VALUES (?, ?, ?, ?)",
            (now, told.TYPE, name, msgspec.json.encode(told).decode()),
        )
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    became = "its last good copy replaced it" if good else "there is no good copy of it"
    logger.error("%s; the row was set aside, %s", reason, became)
    return name


def _good_row(copy: Path, name: str) -> tuple[Any, ...] | None:
    if not copy.exists():
        return None
    query = f"SELECT {rows.COLUMNS} FROM vms WHERE name = ?"
    try:
        with contextlib.closing(sqlite3.connect(f"{copy.as_uri()}?mode=ro", uri=True)) as reading:
            row = reading.execute(query, (name,)).fetchone()
        if row is None:
            return None
        rows.decode(row)
    except (sqlite3.DatabaseError, errors.StateCorrupt) as exc:
        logger.warning("%s has no good row of VM %s: %s", copy, name, exc)
        return None
    found: tuple[Any, ...] = row
    return found
