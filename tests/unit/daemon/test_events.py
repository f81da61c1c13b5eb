"""Events reach the disk with their records before any subscriber, and their numbers are unique."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gaovm import errors
from gaovm.daemon.storage import events, rates, records, retention, store
from gaovm.spec import disks, guest, vm


def record(name: str, run_id: str = "") -> records.VmRecord:
    user = guest.User(name="u", uid=1, gid=2, home="/home/u")
    return records.VmRecord(
        name=name,
        project="/p",
        config_path="/p/c",
        run_id=run_id or name,
        created_at="t",
        spec=vm.VmSpec(
            name=name,
            image=disks.Image(location="x"),
            guest=guest.Guest(user=user, hostname="h"),
        ),
    )


@pytest.fixture
def database(tmp_path: Path) -> Iterator[store.Store]:
    made = store.open_store(tmp_path / "state.db")
    yield made
    made.close()


def rows(database: store.Store, query: str) -> list[Any]:
    """Return what another process would read."""
    other = sqlite3.connect(database.path)
    try:
        return other.execute(query).fetchall()
    finally:
        other.close()


async def test_an_event_is_on_disk_before_subscribers_get_it(database: store.Store) -> None:
    log = events.Events(database)
    feed = log.subscribe()
    heard: list[int] = []

    def look(batch: list[events.Event]) -> None:
        stored = {row[0] for row in rows(database, "SELECT seq FROM events")}
        assert {event.seq for event in batch} <= stored
        heard.extend(event.seq for event in batch)

    log.listen(look)
    written = [log.emit("vm.state", "v", {"n": number}) for number in range(20)]
    assert log.last == 0
    assert [event.seq for event in await asyncio.gather(*written)] == list(range(1, 21))
    assert heard == list(range(1, 21))
    assert log.last == 20
    assert [(await anext(feed)).payload["n"] for _ in range(20)] == list(range(20))


async def test_one_turn_is_one_commit(database: store.Store) -> None:
    log = events.Events(database)
    commits: list[list[Any]] = []
    database.listen(commits.append)
    database.put(record("a"))
    await log.emit("vm.state", "a", {})
    assert len(commits) == 1
    # the second write of the turn fails: the whole turn is lost, the next turn is stored
    kept = database.put(record("b"))
    broken = database.write(lambda connection: connection.execute("SELECT nonsense"))
    told = log.emit("vm.state", "b", {})
    await asyncio.sleep(0)
    after = log.emit("vm.state", "c", {})
    with pytest.raises(errors.StateCorrupt):
        await kept
    for failed in (broken, told):
        with pytest.raises(errors.StateCorrupt):
            await failed
    assert (await after).seq == 2
    assert rows(database, "SELECT name FROM vms") == [("a",)]
    assert rows(database, "SELECT seq, vm FROM events") == [(1, "a"), (2, "c")]


async def test_numbers_continue_after_a_restart_and_are_unique(
    database: store.Store,
) -> None:
    log = events.Events(database)
    for _ in range(3):
        last = await log.emit("t", None, {})
    assert last.seq == 3
    await database.write(lambda connection: connection.execute("DELETE FROM events"))
    database.close()
    again = store.open_store(database.path)
    log = events.Events(again)
    assert (log.last, log.oldest) == (3, 4)
    assert (await log.emit("t", None, {})).seq == 4
    again.close()


async def test_writes_begun_before_close_are_completed(database: store.Store) -> None:
    log = events.Events(database)
    log.emit("t", None, {})
    database.close()
    assert rows(database, "SELECT seq FROM events") == [(1,)]


async def test_stored_events_are_read_in_pages(database: store.Store) -> None:
    log = events.Events(database)
    for number in range(10):
        written = log.emit("t", "v" if number % 2 else None, {"n": number, "ü": ["x"]})
    await written
    page = await log.read(3, 4)
    assert [event.seq for event in page] == [4, 5, 6, 7]
    assert page[0].payload == {"n": 3, "ü": ["x"]}
    assert page[0].vm == "v"
    assert await log.read(10, 4) == []


def limits(monkeypatch: pytest.MonkeyPatch, **values: float) -> None:
    for name, value in {"QUIET_S": 0.0, "BITE": 7, **values}.items():
        monkeypatch.setattr(retention, name, value)


async def settled(database: store.Store, query: str, wanted: Any) -> None:
    """Wait for upkeep, which runs concurrently between writes."""
    while rows(database, query) != wanted:
        await database.flush()


async def test_the_oldest_events_are_removed_if_there_are_too_many(
    database: store.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits(monkeypatch, MAX_EVENTS=20)
    log = events.Events(database)
    for number in range(100):
        log.emit("t", None, {"n": number})
    await database.flush()
    await settled(database, "SELECT min(seq), max(seq), count(*) FROM events", [(81, 100, 20)])
    assert log.oldest == 81


async def test_the_oldest_events_are_removed_if_they_are_too_large(
    database: store.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits(monkeypatch, MAX_BYTES=5000)
    log = events.Events(database)
    for _ in range(30):
        log.emit("t", None, {"n": "x" * 992})
    await database.flush()
    await settled(database, "SELECT min(seq), count(*) FROM events", [(26, 5)])


async def test_a_vm_with_many_events_displaces_only_its_own(
    database: store.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits(monkeypatch, MAX_EVENTS=20)
    log = events.Events(database)
    for kind in (None, "quiet", None, "quiet"):
        log.emit("t", kind, {})
    for _ in range(200):
        log.emit("t", "loud", {})
    await database.flush()
    kept = "SELECT vm, min(seq), max(seq), count(*) FROM events GROUP BY vm ORDER BY vm"
    await settled(database, kept, [(None, 1, 3, 2), ("loud", 189, 204, 16), ("quiet", 2, 4, 2)])
    assert log.oldest == 1


async def test_events_that_could_not_be_written_displace_no_others(
    database: store.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits(monkeypatch, MAX_EVENTS=20)
    log = events.Events(database)
    for number in range(21):
        log.emit("t", "told", {"n": number})
    await database.flush()
    kept = "SELECT count(*) FROM events"
    await settled(database, kept, [(20,)])  # from now on, the log counts them
    for _ in range(30):
        log.emit("t", "told", {})
        with pytest.raises(errors.StateCorrupt):
            await database.write(lambda connection: connection.execute("SELECT nonsense"))
    for _ in range(5):
        log.emit("t", "told", {})
        await database.flush()
    await settled(database, kept, [(20,)])


async def test_a_vm_with_large_events_displaces_only_its_own(
    database: store.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits(monkeypatch, MAX_BYTES=5000)
    log = events.Events(database)
    for _ in range(40):
        log.emit("t", "quiet", {})  # many, but small
    for _ in range(30):
        log.emit("t", "loud", {"n": "x" * 992})
    await database.flush()
    kept = "SELECT vm, count(*) FROM events GROUP BY vm ORDER BY vm"
    await settled(database, kept, [("loud", 4), ("quiet", 40)])


async def test_events_of_a_guest_are_rate_limited(
    database: store.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"BURST": 5.0, "PER_S": 0.0, "TELL_S": 0.05}.items():
        monkeypatch.setattr(rates, name, value)
    log = events.Events(database)
    feed = log.subscribe()
    for number in range(30):
        log.emit_of_guest("vm.state" if number % 3 else "guest.panicked", "loud", {})
        log.emit("driver.exited", "loud", {})
        log.emit_of_guest("vm.state", "quiet", {}) if number < 4 else None
    seen: list[events.Event] = []
    while not seen or seen[-1].type != "events.suppressed":
        seen.append(await anext(feed))
    told = seen[-1]
    assert (told.vm, told.payload["count"]) == ("loud", 25)
    assert told.payload["types"] == {"guest.panicked": 8, "vm.state": 17}
    kinds = [event.type for event in seen if event.vm == "loud"]
    assert kinds.count("driver.exited") == 30, "only events of the guest are limited"
    assert len(kinds) == 5 + 30 + 1
    assert len([event for event in seen if event.vm == "quiet"]) == 4
    log.emit_of_guest("vm.state", "loud", {})
    log.forget("loud")
    assert (await anext(feed)).payload == {"count": 1, "types": {"vm.state": 1}}


async def test_events_are_removed_once_they_are_too_old(
    database: store.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits(monkeypatch)
    log = events.Events(database)
    for _ in range(30):
        log.emit("t", None, {})
    old = "UPDATE events SET ts = '2020-01-01T00:00:00.000Z' WHERE seq <= 25"
    await database.write(lambda connection: connection.execute(old))
    database.close()
    again = store.open_store(database.path)
    log = events.Events(again)
    await again.flush()  # the writer starts with overdue upkeep
    await settled(again, "SELECT min(seq), count(*) FROM events", [(26, 5)])
    again.close()


async def test_upkeep_does_not_spin_on_a_full_disk(
    database: store.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits(monkeypatch, MAX_EVENTS=20)
    kept = retention.Retention(100, 1)
    with pytest.raises(errors.StateCorrupt):
        await database.write(lambda connection: _fill_and_prune(connection, kept))
    assert kept.oldest == 1
    assert not kept.urgent()
    due_s = kept.due_s()
    assert due_s is not None and due_s > 1


def _fill_and_prune(connection: sqlite3.Connection, kept: retention.Retention) -> None:
    connection.execute("PRAGMA query_only = OFF")
    for _ in range(100):
        connection.execute("INSERT INTO events (ts, type, payload) VALUES ('9', 't', '{}')")
    connection.execute("PRAGMA query_only = ON")
    try:
        kept.run(connection)
    finally:
        connection.execute("PRAGMA query_only = OFF")
