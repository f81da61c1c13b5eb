"""The store migrates databases of every revision; each revision has a fixture."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from gaovm.daemon.storage import events, rows, schema, store

FIXTURES = Path(__file__).parents[2] / "data" / "state"


def database(tmp_path: Path, revision: int) -> Path:
    """Create a database as that revision wrote it."""
    path = tmp_path / "state.db"
    connection = sqlite3.connect(path)
    connection.executescript((FIXTURES / f"revision-{revision}.sql").read_text())
    assert connection.execute("PRAGMA user_version").fetchone() == (revision,)
    connection.close()
    return path


def _cells(path: Path) -> list[tuple[str, str, Any]]:
    """Return every cell of the records: VM, column, value."""
    connection = sqlite3.connect(path)
    found = connection.execute("SELECT * FROM vms")
    columns = [column[0] for column in found.description]
    named = [dict(zip(columns, row, strict=True)) for row in found]
    connection.close()
    return [(row["name"], column, value) for row in named for column, value in row.items()]


def _contains(after: Any, before: Any) -> bool:
    """Whether ``after`` has everything of ``before``; JSON objects may have gained fields."""
    if isinstance(before, str) and before[:1] in ("{", "["):
        return _contains(json.loads(after), json.loads(before))
    if isinstance(before, dict):
        return isinstance(after, dict) and all(
            key in after and _contains(after[key], value) for key, value in before.items()
        )
    if isinstance(before, list):
        return len(after) == len(before) and all(map(_contains, after, before))
    return bool(after == before)


def test_every_revision_has_a_fixture() -> None:
    wanted = {f"revision-{number}.sql" for number in range(1, len(schema.STEPS) + 1)}
    assert {entry.name for entry in FIXTURES.iterdir()} == wanted


@pytest.mark.parametrize("revision", range(1, len(schema.STEPS) + 1))
async def test_an_old_database_is_migrated(tmp_path: Path, revision: int) -> None:
    path = database(tmp_path, revision)
    old = _cells(path)
    opened = store.open_store(path)
    assert (opened.recovered, list(opened.mended)) == (None, [])
    now = {found.name: rows.encode(found) for found in opened.load()}
    for name, column, before in old:
        after = now[name][rows.COLUMNS.split(", ").index(column)]
        if column != "spec_digest":  # the digest covers fields that are newer
            assert _contains(after, before), f"{name}: {column}"
    log = events.Events(opened)
    assert (log.last, log.oldest) == ((3, 2) if revision >= 2 else (0, 1))
    assert (await log.emit("t", None, {})).seq == log.last
    await opened.put(opened.load()[0])
    opened.close()
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (len(schema.STEPS),)
    connection.close()
    again = store.open_store(path)  # no migration is left to run
    assert [record.name for record in again.load()] == ["a.b-c", "small"]
    again.close()


async def test_stored_events_get_their_current_names(tmp_path: Path) -> None:
    """The payloads are as daemons of revision 4 wrote them."""
    stored = [
        ("config.updated", '{"fields":["cpus"],"applied":true}'),
        ("config.pending_applied", '{"fields":["cpus"]}'),
        ("config.pending_discarded", "{}"),
        ("config.quarantined", '{"file":"/x"}'),
        ("event.pending_config_written", '{"fields":["cpus"],"restart_required":true}'),
        ("event.pending_config_replaced", '{"fields":["cpus"],"restart_required":true}'),
        ("event.pending_config_replaced", "{}"),
        ("driver.started", '{"pid":1,"socketPath":"/run/\\"socketPath\\":/s"}'),
        ("driver.exited", '{"pid":1,"exitCode":-9,"expected":false}'),
        ("vm.paused", '{"detail":"io-error"}'),
        ("vm.state", '{"event":"x","error":{"message":"exitCode io-error"}}'),
    ]
    path = database(tmp_path, 4)
    connection = sqlite3.connect(path)
    connection.executemany(
        "INSERT INTO events (ts, type, vm, payload) VALUES ('t', ?, 'small', ?)", stored
    )
    connection.commit()
    connection.close()
    opened = store.open_store(path)
    found = await events.Events(opened).read(3, 100)
    opened.close()
    assert [(event.type, event.payload) for event in found] == [
        ("vm.config.updated", {"fields": ["cpus"], "applied": True}),
        ("vm.config.applied", {"fields": ["cpus"]}),
        ("vm.config.discarded", {}),
        ("vm.config.quarantined", {"file": "/x"}),
        ("vm.config.staged", {"replaced": False, "fields": ["cpus"], "restart_required": True}),
        ("vm.config.staged", {"replaced": True, "fields": ["cpus"], "restart_required": True}),
        ("vm.config.staged", {"replaced": True}),
        ("driver.started", {"pid": 1, "socket_path": '/run/"socketPath":/s'}),
        ("driver.exited", {"pid": 1, "exit_code": -9, "expected": False}),
        ("vm.paused", {"detail": "io_error"}),
        ("vm.state", {"event": "x", "error": {"message": "exitCode io-error"}}),
    ]
