"""Reading qcow2 headers: the real tool's, and nonsense."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from gaovm import errors
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
