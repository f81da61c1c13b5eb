"""A disk grows while its VM runs: on the host first, then in the guest."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import cast

import pytest

from gaovm import errors
from gaovm.driver import disks as driver_disks
from gaovm.guestmanager import disks as guest_disks
from gaovm.guestmanager.transport.connection import Connection
from gaovm.vmmanager.qemu import disks as qemu_disks
from gaovm.vmmanager.qemu import overlay


class Qemu:
    """The host side of a running VM; resizes the file as QEMU does."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sizes: list[int] = []

    async def grow_disk(self, size_bytes: int) -> None:
        if not qemu_disks.check_growth(self.path, size_bytes):
            return
        self.sizes.append(size_bytes)
        argv = ["qemu-img", "resize", "-q", "-f", "qcow2", str(self.path), str(size_bytes)]
        subprocess.run(argv, check=True)


async def test_a_disk_grows_live_once_and_never_shrinks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "disk.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(path), "1M"], check=True)
    told: list[int] = []

    async def grow(connection: object, size_bytes: int) -> int:
        told.append(size_bytes)
        if size_bytes > 4 << 20:
            raise errors.GuestCallFailed("not an ext4")
        return size_bytes

    monkeypatch.setattr(guest_disks, "grow", grow)
    qemu, connection = Qemu(path), cast("Connection", None)
    assert await driver_disks.grow_live(qemu, connection, 2 << 20) is None
    assert await driver_disks.grow_live(qemu, connection, 2 << 20) is None
    assert (qemu.sizes, told) == ([2 << 20], [2 << 20, 2 << 20])
    assert await driver_disks.grow_live(qemu, connection, 8 << 20) == "not an ext4"
    with pytest.raises(errors.DiskShrink):
        await driver_disks.grow_live(qemu, connection, 1 << 20)
    assert overlay.read_overlay(path).size_bytes == 8 << 20


def test_uefi_variables_begin_as_the_firmware_delivers_them(tmp_path: Path) -> None:
    template, own = tmp_path / "VARS.fd", tmp_path / "uefi-variables.fd"
    template.write_bytes(b"new" * 100)
    qemu_disks.prepare_variables(str(own), str(template))
    assert own.read_bytes() == template.read_bytes()
    own.write_bytes(b"own" * 100)
    qemu_disks.prepare_variables(str(own), str(template))
    assert own.read_bytes() == b"own" * 100  # what the firmware has written stays
    template.write_bytes(b"other" * 100)
    qemu_disks.prepare_variables(str(own), str(template))
    assert own.read_bytes() == template.read_bytes()  # those of another firmware do not
