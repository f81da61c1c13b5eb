"""The store preallocates its write-ahead log when idle, and changes nothing else."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest
from tests.unit.daemon.test_store import full_record

from gaovm.daemon.storage import store, wal_preallocation


def log_bytes(path: Path) -> int:
    return path.with_name(path.name + "-wal").stat().st_size


async def test_an_idle_database_preallocates_its_log_which_then_stops_growing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wal_preallocation, "QUIET_S", 0.0)
    path = tmp_path / "state.db"
    database = store.open_store(path)
    await database.put(full_record())
    database.drain()
    # the writer's thread preallocates after the commit
    while log_bytes(path) < wal_preallocation.ROOM_BYTES:
        await asyncio.sleep(0.01)
    await database.flush()
    room, size = log_bytes(path), path.stat().st_size
    for _ in range(20):
        await database.put(full_record())
    assert log_bytes(path) == room
    assert path.stat().st_size == size
    database.close()
    again = store.open_store(path)
    assert again.load() == [full_record()]
    assert again.recovered is None
    again.close()


async def test_the_log_is_not_preallocated_before_the_first_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A starting daemon reads on the writer's connection: a rollback would end its query."""
    made = []
    monkeypatch.setattr(wal_preallocation, "QUIET_S", 0.0)
    monkeypatch.setattr(wal_preallocation, "make", lambda *_: made.append("room"))
    database = store.open_store(tmp_path / "state.db")
    for _ in range(50):
        assert database.load() == []
        await asyncio.sleep(0.002)
    assert made == []
    await database.put(full_record())
    while not made:
        await asyncio.sleep(0.01)
    database.close()


def test_removing_the_room_leaves_the_database_unchanged(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE kept (a)")
    connection.execute("PRAGMA user_version = 7")
    connection.execute("PRAGMA cache_size = -1234")
    before = list(connection.iterdump())
    wal_preallocation.make(connection, 1 << 20)
    assert log_bytes(tmp_path / "a.db") > 1 << 20
    assert list(connection.iterdump()) == before
    assert connection.execute("PRAGMA user_version").fetchone() == (7,)
    assert connection.execute("PRAGMA cache_size").fetchone() == (-1234,)
    assert connection.execute("PRAGMA page_count").fetchone()[0] < 10
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


async def test_a_full_disk_is_tried_once_and_the_store_continues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def full(connection: sqlite3.Connection, room_bytes: int) -> None:
        asked.append(room_bytes)
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(wal_preallocation, "QUIET_S", 0.0)
    monkeypatch.setattr(wal_preallocation, "make", full)
    database = store.open_store(tmp_path / "state.db")
    await database.put(full_record())
    while not asked:
        await asyncio.sleep(0.01)
    for _ in range(5):
        await database.put(full_record())
        await asyncio.sleep(0.02)
    database.close()
    assert asked == [wal_preallocation.ROOM_BYTES]
