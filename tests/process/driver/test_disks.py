"""Additional disks of a driver on the fake hypervisor: their locks, and the call of the agent."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from tests.process.driver.harness import Link, Zygote, launch_request

from gaovm import errors
from gaovm.builder import qcow2

STOP = {"grace_s": 2, "force_s": 1}
SPEC = {"additional_disks": [{"name": "data", "fs_args": ["-m", "0"]}]}


def disk(base: Path) -> dict[str, Any]:
    """Make the disk ``data`` where both drivers of a test find it."""
    directory = base / "disks"
    directory.mkdir(exist_ok=True)
    path = directory / "disk.qcow2"
    made = qcow2.new(8 << 20)
    path.write_bytes(made.head.ljust(made.file_bytes, b"\0"))
    return {"name": "data", "path": str(path), "format": "qcow2", "lock": str(directory / "lock")}


async def fork(zygote: Zygote, base: Path, name: str, data: dict[str, Any]) -> Link:
    """Configure a driver whose VM has the disk."""
    own = base / name
    request = launch_request(own, SPEC, additional_disks=[data])
    link = await zygote.fork(name, own / "vm" / "driver.log")
    await link.call("vm.configure", request)
    return link


async def test_one_vm_at_a_time_and_no_lock_stays_behind(zygote: Zygote, base: Path) -> None:
    data = disk(base)
    first = await fork(zygote, base, "one", data)
    await first.call("vm.start")
    await first.until(readiness="ready")
    with pytest.raises(errors.GaoError, match=f"in use by process {first.pid}") as refused:
        await fork(zygote, base, "two", data)
    assert refused.value.code == errors.DiskInUse.code
    os.kill(first.pid, signal.SIGKILL)
    await zygote.exited(first.pid)
    second = await fork(zygote, base, "three", data)
    await second.call("vm.start")
    await second.until(readiness="ready")
    assert await second.call("vm.stop", STOP) == {"how": "agent"}
    third = await fork(zygote, base, "four", data)
    await third.call("exit")


async def test_a_changed_header_is_refused_before_anything_runs(zygote: Zygote, base: Path) -> None:
    data = disk(base)
    Path(data["path"]).write_bytes(
        qcow2.new(8 << 20, backing=b"/etc/shadow", backing_format="raw").head
    )
    with pytest.raises(errors.GaoError, match="its header was changed"):
        await fork(zygote, base, "one", data)
    Path(data["path"]).unlink()
    with pytest.raises(errors.GaoError, match="disk data was removed"):
        await fork(zygote, base, "two", data)
