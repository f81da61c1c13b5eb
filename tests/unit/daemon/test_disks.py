"""Named disks: make, bring, grow, remove them; who may use them; and what a crash leaves."""

from __future__ import annotations

import asyncio
import os
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import msgspec
import pytest
from tests.unit.daemon.conftest import Daemon, load_config

from gaovm import errors
from gaovm.aio import files
from gaovm.builder import qcow2
from gaovm.daemon.disks import disk_files, registry
from gaovm.daemon.storage import disk_rows
from gaovm.daemon.vms import project_file
from gaovm.hostfacts import programs
from gaovm.spec.disks import LARGEST_BYTES, AdditionalDisk

MIB = 1 << 20
SIZE = 8 * MIB


def attach(daemon: Daemon, *names: str) -> None:
    """Let every project file name these disks."""

    async def load(args: Any, where: Any) -> project_file.Wanted:
        wanted = await load_config(args, where)
        named = tuple(AdditionalDisk(name=name) for name in names)
        spec = msgspec.structs.replace(wanted.spec, additional_disks=named)
        return msgspec.structs.replace(wanted, spec=spec)

    daemon.ctx.load_config = load


async def up_approved(daemon: Daemon, **params: Any) -> Any:
    with pytest.raises(errors.ApprovalNeeded) as refused:
        await daemon.up(**params)
    return await daemon.up(**params, approve=refused.value.details["digest"])


def rows(daemon: Daemon) -> dict[str, disk_rows.DiskRecord]:
    return {each.name: each for each in daemon.database.look(disk_rows.load)}


def checked(path: Path) -> dict[str, Any]:
    """Return what ``qemu-img`` says of a file that it finds no fault with."""
    subprocess.run(["qemu-img", "check", "-q", str(path)], check=True)
    said = subprocess.run(
        ["qemu-img", "info", "--output=json", str(path)], check=True, capture_output=True
    )
    found: dict[str, Any] = msgspec.json.decode(said.stdout)
    return found


async def test_a_disk_is_made_listed_and_removed(daemon: Daemon) -> None:
    made = await daemon.call("disk.create", name="data", size_bytes=SIZE)
    assert (made["format"], made["size_bytes"], made["in_use_by"]) == ("qcow2", SIZE, None)
    assert (await daemon.call("disk.list"))["disks"] == [made]
    path = Path(made["dir"], "disk.qcow2")
    assert checked(path)["virtual-size"] == SIZE
    assert made["used_bytes"] < MIB
    assert path.stat().st_mode & 0o777 == 0o600
    assert rows(daemon)["data"].state == "ready"
    removed = await daemon.call("disk.remove", name="data")
    assert removed["freed_bytes"] > 0
    assert not path.parent.exists()
    assert rows(daemon) == {}


async def test_a_raw_disk_is_a_sparse_file(daemon: Daemon) -> None:
    made = await daemon.call("disk.create", name="r", size_bytes=SIZE + 1, format="raw")
    there = Path(made["dir"], "disk.raw").stat()
    assert (made["size_bytes"], there.st_size) == (SIZE + 512, SIZE + 512)
    assert there.st_blocks * 512 < MIB


async def test_a_qcow2_disk_grows_without_a_program(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await daemon.call("disk.create", name="data", size_bytes=SIZE)
    path = Path(made["dir"], "disk.qcow2")
    subprocess.run(["qemu-io", "-c", "write -P 7 1M 64k", str(path)], check=True, stdout=-3)
    monkeypatch.setattr(programs, "find", lambda _: None)
    grown = await daemon.call("disk.resize", name="data", size_bytes=LARGEST_BYTES)
    assert grown["size_bytes"] == LARGEST_BYTES
    assert checked(path)["virtual-size"] == LARGEST_BYTES
    read = ["qemu-io", "-c", "read -P 7 1M 64k", "-c", "write -P 8 60T 64k", str(path)]
    assert (
        b"Pattern verification failed"
        not in subprocess.run(read, check=True, capture_output=True).stdout
    )
    checked(path)


async def test_a_disk_never_shrinks(daemon: Daemon) -> None:
    await daemon.call("disk.create", name="data", size_bytes=SIZE)
    with pytest.raises(errors.DiskShrink, match="may only grow"):
        await daemon.call("disk.resize", name="data", size_bytes=SIZE // 2)
    assert rows(daemon)["data"].size_bytes == SIZE


@pytest.mark.parametrize("name", ["", "..", "a/b", "../x", "a b", ".x", "a..b", "x" * 77, "a\0b"])
async def test_bad_names_make_nothing(daemon: Daemon, name: str) -> None:
    with pytest.raises(errors.InvalidParams):
        await daemon.call("disk.create", name=name, size_bytes=SIZE)
    with pytest.raises(errors.InvalidParams):
        await daemon.call("disk.import", name=name, path="/etc/hostname")
    assert list(daemon.fleet.paths.disks.iterdir()) == []


@pytest.mark.parametrize("size", [0, 1, MIB - 512, LARGEST_BYTES + 1])
async def test_sizes_have_bounds(daemon: Daemon, size: int) -> None:
    with pytest.raises(errors.InvalidParams):
        await daemon.call("disk.create", name="data", size_bytes=size)
    assert rows(daemon) == {}


async def test_a_name_is_taken_once(daemon: Daemon) -> None:
    work = [daemon.call("disk.create", name="data", size_bytes=SIZE) for _ in range(2)]
    found = await asyncio.gather(*work, return_exceptions=True)
    assert sorted(type(each).__name__ for each in found) == ["StateConflict", "dict"]


async def test_unknown_disks_are_not_found(daemon: Daemon) -> None:
    await daemon.call("disk.create", name="data", size_bytes=SIZE)
    with pytest.raises(errors.NotFound) as refused:
        await daemon.call("disk.remove", name="dato")
    assert "data" in (refused.value.remedy or "")


# import


async def test_a_raw_file_is_copied_with_its_holes(daemon: Daemon, tmp_path: Path) -> None:
    source = tmp_path / "source"
    with source.open("wb") as file:
        file.truncate(64 * MIB)
        file.seek(32 * MIB)
        file.write(b"here")
        file.truncate(64 * MIB + 100)
    made = await daemon.call("disk.import", name="data", path=str(source))
    copy = Path(made["dir"], "disk.raw")
    assert made["size_bytes"] == 64 * MIB + 512
    assert copy.read_bytes() == source.read_bytes().ljust(64 * MIB + 512, b"\0")
    assert made["used_bytes"] < 2 * MIB
    assert [entry.name for entry in copy.parent.iterdir()] == ["disk.raw"]


async def test_a_foreign_qcow2_is_copied_and_grows_by_the_program(
    daemon: Daemon, tmp_path: Path
) -> None:
    source = tmp_path / "s.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(source), "8M"], check=True)
    made = await daemon.call("disk.import", name="data", path=str(source))
    assert (made["format"], made["size_bytes"]) == ("qcow2", 8 * MIB)
    grown = await daemon.call("disk.resize", name="data", size_bytes=1 << 40)
    assert checked(Path(grown["dir"], "disk.qcow2"))["virtual-size"] == 1 << 40


def backed(path: Path) -> None:
    arguments = ["-q", "-f", "qcow2", "-b", "/etc/passwd", "-F", "raw", str(path), "8M"]
    subprocess.run(["qemu-img", "create", *arguments], check=True)


def external(path: Path) -> None:
    where = f"data_file={path}.data"
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-o", where, str(path), "8M"], check=True
    )


def encrypted(path: Path) -> None:
    path.write_bytes(bytearray(qcow2.new(SIZE).head))
    with path.open("r+b") as file:
        file.seek(32)
        file.write(struct.pack(">I", 2))


def truncated(path: Path) -> None:
    path.write_bytes(qcow2.new(SIZE).head[:40].ljust(70, b"\0"))


def huge(path: Path) -> None:
    path.write_bytes(qcow2.new(LARGEST_BYTES * 2).head)


def packed(path: Path) -> None:
    path.write_bytes(b"\x1f\x8b" + bytes(2 * MIB))


def small(path: Path) -> None:
    path.write_bytes(bytes(4096))


@pytest.mark.parametrize("make", [backed, external, encrypted, truncated, huge, packed, small])
async def test_files_that_are_no_safe_disk_are_refused(
    daemon: Daemon, tmp_path: Path, make: Any
) -> None:
    make(tmp_path / "file")
    with pytest.raises(errors.ConfigError):
        await daemon.call("disk.import", name="data", path=str(tmp_path / "file"))
    assert rows(daemon) == {}
    assert list(daemon.fleet.paths.disks.iterdir()) == []


async def test_what_is_no_regular_file_is_refused(daemon: Daemon, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in ("fifo", "missing", "."):
        with pytest.raises(errors.NotFound):
            await daemon.call("disk.import", name="data", path=str(tmp_path / path))
    with pytest.raises(errors.InvalidParams, match="absolute"):
        await daemon.call("disk.import", name="data", path="relative")
    assert rows(daemon) == {}


async def test_a_guest_cannot_turn_its_raw_disk_into_another_format(daemon: Daemon) -> None:
    made = await daemon.call("disk.create", name="r", size_bytes=SIZE, format="raw")
    backed(daemon.fleet.paths.home / "evil")
    evil = (daemon.fleet.paths.home / "evil").read_bytes()
    path = Path(made["dir"], "disk.raw")
    with path.open("r+b") as file:
        file.write(evil)
    await daemon.fleet.disks.recover()
    assert rows(daemon)["r"].format == "raw"
    assert disk_files.find(path.parent) == ("raw", SIZE)


# locks


async def test_a_locked_disk_is_neither_grown_nor_removed(daemon: Daemon) -> None:
    made = await daemon.call("disk.create", name="data", size_bytes=SIZE)
    lock = files.Lock(Path(made["dir"], "lock"))
    assert lock.acquire()
    tried: tuple[tuple[str, dict[str, Any]], ...] = (
        ("disk.resize", {"size_bytes": 2 * SIZE}),
        ("disk.remove", {}),
    )
    for method, more in tried:
        with pytest.raises(errors.DiskInUse, match=f"process {os.getpid()}"):
            await daemon.call(method, name="data", **more)
    assert rows(daemon)["data"] == daemon.fleet.disks.records["data"]
    assert rows(daemon)["data"].size_bytes == SIZE
    lock.release()
    await daemon.call("disk.remove", name="data")


# VMs


async def test_a_missing_disk_is_told_before_anything_is_made(daemon: Daemon) -> None:
    attach(daemon, "data")
    with pytest.raises(errors.DiskMissing) as refused:
        await daemon.up()
    assert refused.value.field == "additionalDisks[0]"
    assert refused.value.actions[0] == errors.Action("create_disk", disk="data", size="10GiB")
    assert daemon.stored() == {}


async def test_a_disk_needs_approval_and_reaches_the_driver(daemon: Daemon) -> None:
    made = await daemon.call("disk.create", name="data", size_bytes=SIZE)
    attach(daemon, "data")
    result = await up_approved(daemon)
    assert result["vm"]["additional_disks"] == [
        {"name": "data", "mount_point": "/mnt/lima-data", "size_bytes": SIZE}
    ]
    (request,) = (given for name, given in daemon.driver.calls if name == "vm.configure")
    assert request["additional_disks"] == [
        {
            "name": "data",
            "path": f"{made['dir']}/disk.qcow2",
            "format": "qcow2",
            "lock": f"{made['dir']}/lock",
        }
    ]
    (shown,) = (await daemon.call("disk.list"))["disks"]
    assert (shown["in_use_by"], shown["used_by"]) == ("web-dev", ["web-dev"])


async def test_a_second_vm_is_refused_and_names_the_first(daemon: Daemon) -> None:
    await daemon.call("disk.create", name="data", size_bytes=SIZE)
    attach(daemon, "data")
    await up_approved(daemon)
    with pytest.raises(errors.DiskInUse, match="in use by VM web-dev") as refused:
        await up_approved(daemon, name="other")
    assert refused.value.actions == (errors.Action("stop_vm", name="web-dev"),)
    await daemon.call("vm.stop", name="web-dev")
    await daemon.call("vm.start", name="other", wait="ready")
    assert (await daemon.call("disk.list"))["disks"][0]["in_use_by"] == "other"


async def test_a_disk_in_use_stays_as_it_is(daemon: Daemon) -> None:
    await daemon.call("disk.create", name="data", size_bytes=SIZE)
    attach(daemon, "data")
    await up_approved(daemon)
    for method, more in (
        ("disk.resize", {"size_bytes": 2 * SIZE}),
        ("disk.remove", {}),
        ("disk.remove", {"force": True}),
    ):
        with pytest.raises(errors.DiskInUse, match="in use by VM web-dev"):
            await daemon.call(method, name="data", **more)


async def test_only_force_removes_a_disk_that_a_config_names(daemon: Daemon) -> None:
    await daemon.call("disk.create", name="data", size_bytes=SIZE)
    attach(daemon, "data")
    await up_approved(daemon)
    await daemon.call("vm.stop", name="web-dev")
    with pytest.raises(errors.DiskInUse, match="config of VM web-dev names"):
        await daemon.call("disk.remove", name="data")
    await daemon.call("disk.remove", name="data", force=True)
    with pytest.raises(errors.DiskMissing):
        await daemon.call("vm.start", name="web-dev", wait="ready")


async def test_destroy_keeps_the_disk(daemon: Daemon) -> None:
    made = await daemon.call("disk.create", name="data", size_bytes=SIZE)
    attach(daemon, "data")
    await up_approved(daemon)
    await daemon.call("vm.destroy", name="web-dev")
    assert (await daemon.call("disk.list"))["disks"] == [made]


async def test_a_disk_whose_file_is_gone_is_told(daemon: Daemon) -> None:
    made = await daemon.call("disk.create", name="data", size_bytes=SIZE)
    Path(made["dir"], "disk.qcow2").unlink()
    (shown,) = (await daemon.call("disk.list"))["disks"]
    assert "its file is gone" in shown["problem"]
    attach(daemon, "data")
    with pytest.raises(errors.DiskMissing, match="is gone"):
        await up_approved(daemon)
    shutil.rmtree(made["dir"])
    with pytest.raises(errors.DiskInUse, match="names disk data"):
        await daemon.call("disk.remove", name="data")
    await daemon.call("disk.remove", name="data", force=True)
    assert rows(daemon) == {}


# what a crash leaves


async def later(daemon: Daemon) -> registry.Disks:
    """Return the disks of a daemon that starts now."""
    disks = registry.Disks(daemon.fleet.paths, daemon.database)
    await disks.recover()
    return disks


async def test_what_was_being_made_or_removed_goes(daemon: Daemon) -> None:
    for name, state in (("a", "making"), ("b", "removing"), ("c", "ready")):
        made = await daemon.call("disk.create", name=name, size_bytes=SIZE)
        record = msgspec.structs.replace(daemon.fleet.disks.records[name], state=state)
        await daemon.fleet.disks._put(record)
        Path(made["dir"], f"x{disk_files.PARTIAL}").write_bytes(b"half a copy")
    disks = await later(daemon)
    assert list(disks.records) == list(rows(daemon)) == ["c"]
    assert [entry.name for entry in daemon.fleet.paths.disks.iterdir()] == ["c"]


async def test_growth_that_was_begun_is_finished(daemon: Daemon) -> None:
    for kind in ("qcow2", "raw"):
        await daemon.call("disk.create", name=kind, size_bytes=SIZE, format=kind)
        record = msgspec.structs.replace(daemon.fleet.disks.records[kind], size_bytes=2 * SIZE)
        await daemon.fleet.disks._put(record)
    disks = await later(daemon)
    for kind in ("qcow2", "raw"):
        assert disk_files.find(disks.directory(kind)) == (kind, 2 * SIZE)


async def test_a_disk_without_its_row_is_taken_up_again(daemon: Daemon) -> None:
    await daemon.call("disk.create", name="data", size_bytes=SIZE)
    await daemon.database.write(lambda base: base.execute("DELETE FROM disks"))
    (daemon.fleet.paths.disks / "not a name").mkdir()
    (daemon.fleet.paths.disks / "empty").mkdir()
    disks = await later(daemon)
    assert {name: each.size_bytes for name, each in disks.records.items()} == {"data": SIZE}
    assert list(rows(daemon)) == ["data"]


async def test_a_larger_file_than_its_row_says_wins(daemon: Daemon) -> None:
    await daemon.call("disk.create", name="data", size_bytes=2 * SIZE)
    record = msgspec.structs.replace(daemon.fleet.disks.records["data"], size_bytes=SIZE)
    await daemon.fleet.disks._put(record)
    assert (await later(daemon)).records["data"].size_bytes == 2 * SIZE


async def test_a_full_disk_leaves_nothing_half_made(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: Any) -> None:
        raise errors.DiskFull("no space")

    monkeypatch.setattr(daemon.database, "write", full)
    with pytest.raises(errors.DiskFull):
        await daemon.call("disk.create", name="data", size_bytes=SIZE)
    monkeypatch.undo()
    assert (await daemon.call("disk.list"))["disks"] == []
    assert list(daemon.fleet.paths.disks.iterdir()) == []
    made = await daemon.call("disk.create", name="data", size_bytes=SIZE)
    monkeypatch.setattr(daemon.database, "write", full)
    for method, more in (("disk.resize", {"size_bytes": 2 * SIZE}), ("disk.remove", {})):
        with pytest.raises(errors.DiskFull):
            await daemon.call(method, None, name="data", **more)
    assert (await daemon.call("disk.list"))["disks"] == [{**made, "used_bytes": ANY}]


async def test_a_growth_that_failed_is_not_remembered(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    await daemon.call("disk.create", name="data", size_bytes=SIZE)

    def fail(*_: Any) -> None:
        raise errors.DiskFull("no space")

    monkeypatch.setattr(disk_files, "grow", fail)
    with pytest.raises(errors.DiskFull):
        await daemon.call("disk.resize", name="data", size_bytes=2 * SIZE)
    assert rows(daemon)["data"].size_bytes == SIZE == daemon.fleet.disks.records["data"].size_bytes


async def test_a_cancelled_import_is_undone(
    daemon: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = asyncio.Event()

    async def never(*_: Any) -> None:
        begun.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(registry._copies, "run", never)
    task = asyncio.create_task(daemon.call("disk.import", name="data", path=str(tmp_path / "f")))
    await begun.wait()
    assert rows(daemon)["data"].state == "making"
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert rows(daemon) == {}
    assert daemon.fleet.disks.records == {}
