"""After a power cut at any moment, acknowledged changes survive and no change is half stored.

The store and the atomic files run unchanged on a recorded disk (``recorded_disk``). Then, for every
moment of the record, the tests build the files that a power cut could have left, and open them.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from tests import budgets
from tests.unit.daemon import recorded_disk
from tests.unit.daemon.test_events import record

from gaovm import errors
from gaovm.aio import files
from gaovm.daemon.storage import backup, events, quarantine, store, wal_preallocation

#: The number of random parts of the unsynced changes to try at each moment.
DRAWS = budgets.examples(2, 4)


@pytest.fixture
def disk() -> Iterator[Path]:
    """A directory, in memory if possible: syncs of the copies need no real disk."""
    memory = Path("/dev/shm")
    made = tempfile.mkdtemp(prefix="gp", dir=memory if memory.is_dir() else None)
    yield Path(made).resolve()
    shutil.rmtree(made)


@pytest.fixture
def recorder(disk: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[recorded_disk.Recorder]:
    home = disk / "home"
    home.mkdir()
    with monkeypatch.context() as patch:
        made = recorded_disk.Recorder(home)
        made.watch_os(patch)
        made.watch_sqlite(patch)
        yield made


async def work(
    recorder: recorded_disk.Recorder,
    first: int,
    count: int,
    quiet: Callable[[], bool] = lambda: True,
) -> None:
    """Write changes ``first`` to ``first + count - 1``, each a record and its event.

    The recorder notes each acknowledgement. Every third change waits for it, and until it was
    ``quiet``; the others share commits.
    """
    database = store.open_store(Path(recorder.directory) / "state.db")
    # so that SQLite moves parts of the log into the database during the work
    database.look(lambda connection: connection.execute("PRAGMA wal_autocheckpoint = 6"))
    log = events.Events(database)

    def acknowledge(number: int) -> None:
        recorder.note(number)

    for number in range(first, first + count):
        name = f"vm{number % 4}"
        changed = msgspec.structs.replace(record(name), started_at=str(number))
        written = database.remove(name) if number % 7 == 6 else database.put(changed)
        written.add_done_callback(lambda _, number=number: acknowledge(number))  # type: ignore[misc]
        log.emit("vm.state", name, {"n": number, "filler": "x" * 700})
        if number % 3 == 0:
            await written
            while not quiet():
                await asyncio.sleep(0.001)
        else:
            await asyncio.sleep(0)
    await database.flush()
    database.close()


def expected(last: int) -> dict[str, str]:
    """Return the stored values after changes 1 to ``last``."""
    found: dict[str, str] = {}
    for number in range(1, last + 1):
        name = f"vm{number % 4}"
        if number % 7 == 6:
            found.pop(name, None)
        else:
            found[name] = str(number)
    return found


def write_out(directory: Path, content: dict[str, bytes]) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    for name, data in content.items():
        (directory / name).write_bytes(data)


def surviving(directory: Path) -> tuple[int, bool]:
    """Return the last stored change, and whether the copy was used; check all changes before."""
    database = store.open_store(directory / "state.db")
    try:
        found = {vm.name: str(vm.started_at) for vm in database.load()}
        told = database.look(lambda connection: events._read(connection, 0, 10_000))
        if database.recovered is not None:
            return -1, True
        assert all("n" in event.payload for event in told), "a row was moved aside"
        numbers = [event.payload["n"] for event in told]
        assert [event.seq for event in told] == list(range(1, len(told) + 1)), "a gap"
        assert numbers == list(range(1, len(told) + 1)), "out of order"
        assert found == expected(len(told)), "records and events are from different moments"
        return len(told), False
    finally:
        database.close()


def digest(content: dict[str, bytes]) -> bytes:
    made = hashlib.blake2b()
    for name, data in sorted(content.items()):
        made.update(f"{name} {len(data)} ".encode() + data)
    return made.digest()


async def test_the_store_survives_a_power_cut_at_any_moment(
    disk: Path, recorder: recorded_disk.Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "EVERY_S", 0.0)
    monkeypatch.setattr(backup, "QUIET_S", 0.0)
    monkeypatch.setattr(wal_preallocation, "QUIET_S", 0.0)
    room = 100_000
    monkeypatch.setattr(wal_preallocation, "ROOM_BYTES", room)

    def has_room() -> bool:
        return any(op[0] == "write" and op[2] > room for op in list(recorder.log))

    await work(recorder, 1, 16, quiet=has_room)
    await work(recorder, 17, 8)
    log = list(recorder.log)
    monkeypatch.undo()
    acknowledged, last, tried, at = [0], 0, 0, {0: 0}
    for length, op in enumerate(log, 1):
        last = max(last, op[1]) if op[0] == "note" else last
        at[length] = last
    assert last == 24
    assert sum(op[0] == "write" for op in log) > 100
    assert has_room()
    outcomes: dict[bytes, int] = {}
    for length, content in recorded_disk.crashes(log, seed=1, draws=DRAWS):
        key = digest(content)
        if key not in outcomes:
            tried += 1
            write_out(disk / "crashed", content)
            outcomes[key], by_copy = surviving(disk / "crashed")
            assert not by_copy, f"moment {length}: the copy was needed"
        assert outcomes[key] >= at[length], f"moment {length}: an acknowledged change is lost"
        acknowledged.append(outcomes[key])
    assert max(acknowledged) == 24
    print(f"{len(log)} moments, {len(acknowledged) - 1} cuts, {tried} different disks")


async def test_the_next_start_completes_an_interrupted_recovery(
    disk: Path, recorder: recorded_disk.Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    await work(recorder, 1, 5)
    path = Path(recorder.directory) / "state.db"
    damage = bytearray(path.read_bytes())
    damage[:100] = b"\xa5" * 100
    path.write_bytes(bytes(damage))
    inode = recorder.opened("state.db", created=False)
    recorder.wrote(inode, 0, bytes(damage[:100]))
    recorder.synced(inode)
    begun = len(recorder.log)
    store.open_store(path).close()
    log = list(recorder.log)
    monkeypatch.undo()
    seen, by_copy = set(), 0
    for length, content in recorded_disk.crashes(log, seed=2, draws=DRAWS * 3):
        if length < begun or (key := digest(content)) in seen:
            continue
        seen.add(key)
        write_out(disk / "crashed", content)
        database = store.open_store(disk / "crashed" / "state.db")
        assert {vm.name: vm.started_at for vm in database.load()} == expected(5), length
        told = database.look(lambda connection: events._read(connection, 0, 10))
        database.close()
        if database.recovered is None and len(told) == 5:
            continue  # the log's deletion was not synced: the old log repairs the damage
        assert [event.type for event in told] == ["state.recovered"], length
        by_copy += 1
    assert by_copy > 20


def test_atomic_files_survive_a_power_cut_at_any_moment(
    disk: Path, recorder: recorded_disk.Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(recorder.directory) / "config.json"
    for number in range(1, 9):
        files.write_atomic(path, json.dumps({"n": number, "pad": "x" * 3000}).encode())
        recorder.note(number)
    log = list(recorder.log)
    monkeypatch.undo()
    acknowledged = 0
    for length, content in recorded_disk.crashes(log, seed=3, draws=20):
        if length and log[length - 1][0] == "note":
            acknowledged = log[length - 1][1]
        write_out(disk / "crashed", content)
        found = 0
        with contextlib.suppress(errors.NotFound):
            found = quarantine.read(disk / "crashed" / "config.json", json.loads)["n"]
        assert acknowledged <= found <= acknowledged + 1, f"moment {length}"


@pytest.mark.parametrize("forgotten", ["sync", "names"])
def test_the_file_test_notices_a_missing_sync(
    disk: Path, recorder: recorded_disk.Recorder, monkeypatch: pytest.MonkeyPatch, forgotten: str
) -> None:
    """The test can fail: a record without one kind of sync loses acknowledged changes."""
    path = Path(recorder.directory) / "config.json"
    for number in range(1, 4):
        files.write_atomic(path, json.dumps({"n": number}).encode())
        recorder.note(number)
    log = [op for op in recorder.log if op[0] != forgotten]
    monkeypatch.undo()
    lost, acknowledged = 0, 0
    for length, content in recorded_disk.crashes(log, seed=4, draws=20):
        if length and log[length - 1][0] == "note":
            acknowledged = log[length - 1][1]
        try:
            lost += json.loads(content.get("config.json", b'{"n": 0}'))["n"] < acknowledged
        except ValueError:
            lost += 1
    assert lost


async def test_the_store_test_notices_a_database_that_does_not_sync(
    disk: Path, recorder: recorded_disk.Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same for the store, with ``synchronous = OFF``."""
    real = store._connect

    def careless(path: Path) -> sqlite3.Connection:
        connection = real(path)
        connection.execute("PRAGMA synchronous = OFF")
        return connection

    with monkeypatch.context() as patch:
        patch.setattr(store, "_connect", careless)
        await work(recorder, 1, 12)
    lost, acknowledged = False, 0
    for length, content in recorded_disk.crashes(list(recorder.log), seed=5, draws=1):
        if length and recorder.log[length - 1][0] == "note":
            acknowledged = recorder.log[length - 1][1]
        write_out(disk / "crashed", content)
        try:
            lost = surviving(disk / "crashed")[0] < acknowledged
        except (AssertionError, errors.GaoError, sqlite3.DatabaseError):
            lost = True
        if lost:
            break
    assert lost
