"""The records of named disks, and the rows of the table ``disks`` that hold them."""

from __future__ import annotations

import logging
import sqlite3
from typing import Any, Literal

import msgspec

from gaovm.spec.disks import DiskFormat

logger = logging.getLogger(__name__)

#: ``making`` and ``removing`` mark work that a crash may have interrupted.
State = Literal["making", "ready", "removing"]
COLUMNS = "name, format, size_bytes, created_at, state"
PUT = f"INSERT OR REPLACE INTO disks ({COLUMNS}) VALUES (?, ?, ?, ?, ?)"
DELETE = "DELETE FROM disks WHERE name = ?"


class DiskRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One named disk as it is stored. ``created_at``: UTC, ISO 8601.

    ``size_bytes`` is the size that the guest sees, or shall see: a crash may have come before the
    file grew.
    """

    name: str
    format: DiskFormat
    size_bytes: int
    created_at: str
    state: State = "ready"


def encode(record: DiskRecord) -> tuple[Any, ...]:
    """Return the values of ``COLUMNS``."""
    return (record.name, record.format, record.size_bytes, record.created_at, record.state)


def load(connection: sqlite3.Connection) -> list[DiskRecord]:
    """Return every record, by name. One that cannot be read is left out.

    Its disk is then found by its file (``daemon.disks.registry``), as after the loss of the row.
    """
    found = []
    for row in connection.execute(f"SELECT {COLUMNS} FROM disks ORDER BY name"):
        fields = dict(zip(COLUMNS.split(", "), row, strict=True))
        try:
            found.append(msgspec.convert(fields, DiskRecord))
        except msgspec.ValidationError as exc:
            logger.error("state.db: the row of disk %r is left out: %s", fields["name"], exc)
    return found
