"""The database of the daemon: one row per VM, durable when a call returns.

SQLite in WAL mode with full sync. All access after opening happens on one thread of its own, in the
order of the calls, so the event loop never waits for a disk. Readers do not come here: the
registry holds every record in memory.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from concurrent import futures
from pathlib import Path
from typing import Any

import msgspec

from gaovm import errors
from gaovm.daemon import records, schema, stamps
from gaovm.model import states, supervision
from gaovm.spec import network, vm

logger = logging.getLogger(__name__)

_COLUMNS = (
    "name, project, config_path, run_id, spec, spec_digest, desired, observed, readiness, first_up,"
    " created_at, started_at, boot_id, image, facts, last_error, added_ports, disk_used, deleting,"
    " base, overrides, pending, restarts"
)
_MARKS = ", ".join("?" * len(_COLUMNS.split(", ")))
_PUT = f"INSERT OR REPLACE INTO vms ({_COLUMNS}) VALUES ({_MARKS})"


class Store:
    """The open database. What ``put`` and ``remove`` return is done when the change is on disk."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._thread = futures.ThreadPoolExecutor(1, thread_name_prefix="store")

    def load(self) -> list[records.VmRecord]:
        """Every record; for start-up, before the loop runs.

        Raises:
            errors.StateCorrupt: a row does not hold what it must.
        """
        rows = self._connection.execute(f"SELECT {_COLUMNS} FROM vms ORDER BY name").fetchall()
        return [_decode(row) for row in rows]

    def put(self, record: records.VmRecord) -> asyncio.Future[None]:
        """Store the record, replacing the one of that name; begun at once, in call order."""
        return self._run(_PUT, _encode(record))

    def remove(self, name: str) -> asyncio.Future[None]:
        """Forget a VM; unknown names are fine."""
        return self._run("DELETE FROM vms WHERE name = ?", (name,))

    def flush(self) -> asyncio.Future[None]:
        """Done when everything written so far is on disk."""
        return asyncio.get_running_loop().run_in_executor(self._thread, _nothing)

    def _run(self, statement: str, values: tuple[Any, ...]) -> asyncio.Future[None]:
        loop = asyncio.get_running_loop()
        written = loop.run_in_executor(self._thread, self._execute, statement, values)
        written.add_done_callback(_log_failure)
        return written

    def _execute(self, statement: str, values: tuple[Any, ...]) -> None:
        try:
            self._connection.execute(statement, values)
        except sqlite3.OperationalError as exc:
            if "full" in str(exc):
                raise errors.DiskFull(f"the state database cannot be written: {exc}") from exc
            raise errors.StateCorrupt(f"the state database cannot be written: {exc}") from exc
        except sqlite3.DatabaseError as exc:
            raise errors.StateCorrupt(f"the state database is damaged: {exc}") from exc

    def close(self) -> None:
        """Finish what is queued and close the file."""
        self._thread.shutdown(wait=True)
        self._connection.close()


def open_store(path: Path) -> Store:
    """Open or create the database and bring it to the newest revision. The file gets mode 0600.

    Raises:
        errors.StateCorrupt: the file is damaged (it was moved aside, the message says where, and
            the next start begins with an empty database), or it is of a newer GaoVM (it was left
            alone).
    """
    path.touch(mode=0o600, exist_ok=True)
    try:
        connection = _connect(path)
    except sqlite3.DatabaseError as exc:
        kept = _quarantine(path)
        raise errors.StateCorrupt(
            f"{path} is damaged ({exc}); it was moved to {kept}",
            remedy=f"put a good copy back as {path}, or start again with no VMs known",
            details={"quarantined": str(kept)},
        ) from exc
    return Store(connection)


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


def _quarantine(path: Path) -> Path:
    stamp = stamps.compact()
    kept = path.with_name(f"{path.name}.corrupt-{stamp}")
    for suffix in ("", "-wal", "-shm"):
        source = path.with_name(path.name + suffix)
        if source.exists():
            source.rename(kept.with_name(kept.name + suffix))
    return kept


def _nothing() -> None:
    pass


def _log_failure(written: asyncio.Future[None]) -> None:
    # Not every writer waits; a change that could not be stored must be seen all the same.
    if not written.cancelled() and (error := written.exception()) is not None:
        logger.error("not stored: %s", error)


def _json(value: object) -> str | None:
    return None if value is None else msgspec.json.encode(value).decode()


def _encode(record: records.VmRecord) -> tuple[Any, ...]:
    state = record.state
    return (
        record.name,
        record.project,
        record.config_path,
        record.run_id,
        _json(record.spec),
        records.spec_digest(record.spec),
        str(state.desired),
        str(state.observed),
        None if state.readiness is None else str(state.readiness),
        str(state.first_up),
        record.created_at,
        record.started_at,
        record.boot_id,
        _json(record.image),
        _json(record.facts),
        _json(record.last_error),
        _json(record.added_ports),
        int(record.disk_used),
        int(record.deleting),
        _json(record.base),
        _json(record.overrides),
        _json(record.pending),
        _json(record.restarts),
    )


def _decode(row: tuple[Any, ...]) -> records.VmRecord:
    fields = dict(zip(_COLUMNS.split(", "), row, strict=True))
    try:
        return records.VmRecord(
            name=fields["name"],
            project=fields["project"],
            config_path=fields["config_path"],
            run_id=fields["run_id"],
            spec=msgspec.json.decode(fields["spec"], type=vm.VmSpec),
            created_at=fields["created_at"],
            state=msgspec.convert(
                {k: fields[k] for k in ("desired", "observed", "readiness", "first_up")},
                states.VmState,
            ),
            started_at=fields["started_at"],
            boot_id=fields["boot_id"],
            image=_decoded(fields["image"], records.ImageRef),
            facts=_decoded(fields["facts"], records.Facts) or records.Facts(),
            last_error=_decoded(fields["last_error"], records.Failure),
            added_ports=_decoded(fields["added_ports"], tuple[network.PortForward, ...]) or (),
            disk_used=bool(fields["disk_used"]),
            deleting=bool(fields["deleting"]),
            base=_decoded(fields["base"], vm.VmSpec),
            overrides=_decoded(fields["overrides"], dict[str, Any]),
            pending=_decoded(fields["pending"], vm.VmSpec),
            restarts=_decoded(fields["restarts"], supervision.History),
        )
    except msgspec.MsgspecError as exc:
        raise errors.StateCorrupt(f"state.db: the row of VM {fields['name']!r}: {exc}") from exc


def _decoded(text: str | None, kind: Any) -> Any:
    return None if text is None else msgspec.json.decode(text, type=kind)
