"""The database keeps records, reports damage, and refuses newer revisions."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import msgspec
import pytest

from gaovm import errors
from gaovm.daemon.storage import records, rows, schema, store
from gaovm.model import states, supervision
from gaovm.spec import boot, disks, guest, memory, network, processors, shares, vm
from gaovm.spec.ports import PortForward
from gaovm.wire.driver import results


def full_record() -> records.VmRecord:
    """A record in which no field has its default."""
    user = guest.User(name="u", uid=1, gid=2, home="/home/u.guest", shell="/bin/sh", comment="ü")
    port = PortForward(guest_port=80, host_port=8080, host_ip="0.0.0.0")
    spec = vm.VmSpec(
        name="a.b-c",
        image=disks.Image(location="x", digest="sha256:1", kernel_arguments="k"),
        guest=guest.Guest(
            user=user,
            hostname="h",
            env={"A": "b"},
            provision=(guest.Script(name="provision[0]", mode="user", script="#!/bin/sh\n"),),
            probes=(guest.Probe(description="d", script="#!/bin/sh\n", hint="h"),),
        ),
        boot=boot.Boot(arch="aarch64", machine="virt", accelerator="tcg", kernel="cloud"),
        processors=processors.Processors(count=3),
        memory=memory.Memory(size_bytes=1 << 30),
        disk=disks.Disk(size_bytes=1 << 31),
        network=network.Network(ports=(port,)),
        shares=(shares.Share(location="/a", mount_point="/b", writable=True, type="9p"),),
        message="hi",
    )
    return records.VmRecord(
        name="a.b-c",
        project="/p/ü",
        config_path="/p/ü/.lima/config.yaml",
        spec=spec,
        run_id="0123abcd",
        created_at="2026-01-01T00:00:00.000Z",
        state=states.VmState(
            desired=states.Desired.RUNNING,
            observed=states.Observed.RUNNING,
            readiness=states.Readiness.PROBING,
            first_up=states.FirstUp.DONE,
        ),
        started_at="2026-01-01T00:00:01.000Z",
        boot_id="b",
        image=records.ImageRef(name="debian:12", digest="d", kernel="generic"),
        facts=records.Facts(
            machine="q35",
            accelerator=results.Accelerator(name="tcg"),
            ports=(results.Port(guest_port=80, host_port=8080),),
        ),
        last_error=records.Failure(code="c", message="m", at="t", remedy="r"),
        added_ports=(port,),
        disk_used=True,
        deleting=True,
        base=msgspec.structs.replace(spec, message="as the file says"),
        overrides={"cpus": 4, "graphics.enabled": True},
        pending=msgspec.structs.replace(spec, message="next"),
        approved=records.Approval(digest="sha256:2", reaches=()),
        directory=records.Directory(device=1, inode=2, mark="m"),
        is_default=True,
        protected=True,
        restarts=supervision.History(attempts=2, recent=(1.5, 3.0), due_at=4.0),
    )


async def test_every_field_survives_a_restart(tmp_path: Path) -> None:
    record = full_record()
    defaults = records.VmRecord(
        **{
            key: getattr(record, key)
            for key in ("name", "project", "config_path", "spec", "run_id", "created_at")
        }
    )
    for field in records.VmRecord.__struct_fields__[6:]:
        assert getattr(record, field) != getattr(defaults, field), f"{field} is not tested"
    database = store.open_store(tmp_path / "state.db")
    await database.put(record)
    database.close()
    again = store.open_store(tmp_path / "state.db")
    assert again.load() == [record]
    await again.remove("a.b-c")
    assert again.load() == []
    again.close()
    assert (tmp_path / "state.db").stat().st_mode & 0o777 == 0o600


async def test_writes_are_durable_and_in_order(tmp_path: Path) -> None:
    database = store.open_store(tmp_path / "state.db")
    first = full_record()
    for number in range(20):
        written = database.put(
            records.VmRecord(
                **{
                    **{f: getattr(first, f) for f in records.VmRecord.__struct_fields__},
                    "started_at": str(number),
                }
            )
        )
    await written
    with sqlite3.connect(tmp_path / "state.db") as other:
        assert other.execute("SELECT started_at FROM vms").fetchone() == ("19",)
        assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    other.close()
    database.close()


@pytest.mark.parametrize("damage", [b"not a database at all, but long enough" * 50, b"\0" * 8192])
def test_a_damaged_database_is_moved_aside_and_named(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "state.db"
    path.write_bytes(damage)
    with pytest.raises(errors.StateCorrupt) as caught:
        store.open_store(path)
    kept = Path(caught.value.details["quarantined"])
    assert kept.read_bytes() == damage
    assert str(kept) in caught.value.message
    fresh = store.open_store(path)
    assert fresh.load() == []
    fresh.close()


def test_a_newer_database_is_refused_and_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    store.open_store(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {len(schema.STEPS) + 1}")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(errors.StateCorrupt, match="this gaovmd knows"):
        store.open_store(path)
    assert path.read_bytes() == before


def test_a_migration_that_fails_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state.db"
    store.open_store(path).close()
    bad = (*schema.STEPS, ("ALTER TABLE vms ADD COLUMN extra TEXT", "SELECT nonsense"))
    with monkeypatch.context() as patch:
        patch.setattr(schema, "STEPS", bad)
        connection = sqlite3.connect(path, isolation_level=None)
        with pytest.raises(sqlite3.OperationalError):
            schema.migrate(connection, path)
        columns = [row[1] for row in connection.execute("PRAGMA table_info(vms)")]
        assert "extra" not in columns
        assert connection.execute("PRAGMA user_version").fetchone() == (len(bad) - 1,)
        connection.close()


def test_a_vm_survives_facts_that_cannot_be_read() -> None:
    row = list(rows.encode(full_record()))
    at = rows.COLUMNS.split(", ").index("facts")
    row[at] = '{"machine":"q35","ports":[{"of":"another time"}],"moon":1,"accelerator":null}'
    found = rows.decode(tuple(row)).facts
    assert (found.machine, found.ports, found.accelerator) == ("q35", (), None)
