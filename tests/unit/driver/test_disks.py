"""Reading qcow2 headers: the real tool's, and nonsense."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import cast

import pytest

from gaovm import errors
from gaovm.driver import disks as driver_disks
from gaovm.guestmanager import disks as guest_disks
from gaovm.guestmanager.connection import Connection
from gaovm.vmmanager.qemu import disks


def test_the_header_of_a_real_overlay(tmp_path: Path) -> None:
    base, overlay = tmp_path / "base, with comma", tmp_path / "disk.qcow2"
    base.write_bytes(bytes(1 << 20))
    argv = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", str(base), str(overlay)]
    subprocess.run([*argv, str(5 << 20)], check=True)
    assert disks.read_overlay(overlay) == (5 << 20, str(base))


@pytest.mark.parametrize("content", [b"", b"QFI\xfb", b"x" * 100])
def test_what_is_no_qcow2(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "disk.qcow2"
    path.write_bytes(content)
    with pytest.raises(errors.StateCorrupt):
        disks.read_overlay(path)


async def test_a_failed_create_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(errors.HypervisorFailed, match="failed"):
        await disks.create_overlay(
            "qemu-img", tmp_path / "disk.qcow2", tmp_path / "no-base", "raw", 1 << 20
        )
    assert list(tmp_path.iterdir()) == []


class Qemu:
    """A hypervisor that resizes the file, as QEMU would."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sizes: list[int] = []

    async def resize_disk(self, size_bytes: int) -> None:
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
    assert await driver_disks.grow_live(path, qemu, connection, 2 << 20) is None
    assert await driver_disks.grow_live(path, qemu, connection, 2 << 20) is None
    assert (qemu.sizes, told) == ([2 << 20], [2 << 20, 2 << 20])
    assert await driver_disks.grow_live(path, qemu, connection, 8 << 20) == "not an ext4"
    with pytest.raises(errors.DiskShrink):
        await driver_disks.grow_live(path, qemu, connection, 1 << 20)
    assert disks.read_overlay(path).size_bytes == 8 << 20
