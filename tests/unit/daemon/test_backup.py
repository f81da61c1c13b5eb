"""The last good copy replaces a damaged database, or a damaged row."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.unit.daemon.test_events import record, rows

from gaovm import errors
from gaovm.daemon.storage import backup, ballast, events, schema, store


async def filled(path: Path, *names: str) -> None:
    """Create a database with these VMs and some events, copy it, and close it."""
    database = store.open_store(path)
    log = events.Events(database)
    for name in names:
        database.put(record(name))
        log.emit("vm.created", name, {})
    await database.flush()
    database.close()


def names(database: store.Store) -> list[str]:
    return [found.name for found in database.load()]


def overwrite(path: Path) -> None:
    path.write_bytes(b"\0" * 8192)


def tear(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2 // 512 * 512 + 100])


def scribble(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[4096:12288] = b"\xa5" * 8192
    path.write_bytes(bytes(data))


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [overwrite, tear, scribble, empty, Path.unlink])
async def test_a_lost_database_is_restored_from_its_copy(
    tmp_path: Path, damage: Callable[[Path], Any]
) -> None:
    path = tmp_path / "state.db"
    await filled(path, "a", "b")
    damage(path)
    database = store.open_store(path)
    assert names(database) == ["a", "b"]
    assert database.recovered is not None
    assert database.recovered.vms == 2
    if damage not in (empty, Path.unlink):
        kept = Path(database.recovered.quarantined or "")
        assert kept.exists() and str(kept) in database.recovered.reason
    log = events.Events(database)
    (told,) = await log.read(0, 10)
    recovered = msgspec.to_builtins(database.recovered)
    assert (told.type, told.payload) == ("state.recovered", recovered)
    assert told.seq > 1_700_000_000_000  # higher than any number given before
    assert (await log.emit("t", None, {})).seq == told.seq + 1
    database.close()
    again = store.open_store(path)
    assert again.recovered is None
    assert names(again) == ["a", "b"]
    again.close()


async def test_a_recovery_interrupted_after_the_move_is_completed(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    await filled(path, "a")
    stray = path.with_name("state.db-wal")
    stray.write_bytes(b"of the database that was moved aside")
    path.rename(tmp_path / "state.db.corrupt-x")
    database = store.open_store(path)
    assert names(database) == ["a"]
    assert not stray.exists() or stray.read_bytes()[:2] != b"of"
    database.close()


async def test_damage_without_a_good_copy_is_an_error_once(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    await filled(path, "a")
    for damaged in (path, backup.path_of(path)):
        damaged.write_bytes(b"nonsense" * 2000)
    with pytest.raises(errors.StateCorrupt, match=r"the copy .* is damaged"):
        store.open_store(path)
    assert not backup.path_of(path).exists(), "the bad copy must be out of the way"
    database = store.open_store(path)
    assert names(database) == []
    log = events.Events(database)
    assert (await log.emit("t", None, {})).seq > 1_700_000_000_000
    database.close()


async def test_a_copy_of_a_newer_version_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    await filled(path, "a")
    overwrite(path)
    with sqlite3.connect(backup.path_of(path)) as copy:
        copy.execute(f"PRAGMA user_version = {len(schema.STEPS) + 1}")
    copy.close()
    with pytest.raises(errors.StateCorrupt, match="this gaovmd knows"):
        store.open_store(path)
    assert backup.path_of(path).exists()


async def test_a_database_that_cannot_be_opened_is_left_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    await filled(path, "a")
    path.rename(tmp_path / "real")
    path.mkdir()
    with pytest.raises(errors.HostError) as caught:
        store.open_store(path)
    assert not isinstance(caught.value, errors.StateCorrupt)
    assert path.is_dir()


async def test_changes_reach_the_copy_after_a_delay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "EVERY_S", 0.0)
    monkeypatch.setattr(backup, "QUIET_S", 0.0)
    path = tmp_path / "state.db"
    database = store.open_store(path)
    for name in ("a", "b"):
        await database.put(record(name))
    await database.remove("a")

    def copied() -> list[Any]:
        copy = backup.path_of(path)
        if not copy.exists():
            return []
        connection = sqlite3.connect(copy)
        try:
            return connection.execute("SELECT name FROM vms").fetchall()
        finally:
            connection.close()

    while copied() != [("b",)]:
        await asyncio.sleep(0.01)
    assert backup.path_of(path).stat().st_mode & 0o777 == 0o600
    database.close()
    left = {entry.name for entry in tmp_path.iterdir()} - {ballast.path_of(path).name}
    assert left == {"state.backup.db", "state.db"}


@pytest.mark.parametrize(
    "damage",
    [
        """UPDATE vms SET spec = '{"name": 1}' WHERE name = 'b'""",
        "UPDATE vms SET spec = '' WHERE name = 'b'",
        "UPDATE vms SET facts = CAST(x'ff00fe' AS TEXT) WHERE name = 'b'",
        "UPDATE vms SET observed = 'dancing' WHERE name = 'b'",
    ],
)
@pytest.mark.parametrize("copied", [True, False])
async def test_an_unreadable_row_leaves_the_other_rows_intact(
    tmp_path: Path, damage: str, copied: bool
) -> None:
    path = tmp_path / "state.db"
    await filled(path, "a", "b", "c")
    with sqlite3.connect(path) as connection:
        connection.execute(damage)
    connection.close()
    if not copied:
        backup.path_of(path).unlink()
    database = store.open_store(path)
    assert database.mended == ["b"]
    assert names(database) == (["a", "b", "c"] if copied else ["a", "c"])
    assert names(database)[1] != "b" or database.load()[1] == record("b")
    ((name, reason, data),) = rows(database, "SELECT name, reason, data FROM quarantine")
    assert (name, json.loads(data)["project"]) == ("b", "/p")
    log = events.Events(database)
    told = (await log.read(0, 10))[-1]
    assert (told.seq, told.type, told.vm) == (4, "state.row_quarantined", "b")
    assert told.payload == {"reason": reason, "restored": copied}
    database.close()
    again = store.open_store(path)
    assert again.mended == []
    again.close()
