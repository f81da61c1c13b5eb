"""Reading qcow2 headers: the real tool's headers, and nonsense."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from gaovm import errors
from gaovm.builder import qcow2
from gaovm.vmmanager.qemu import overlay


def test_the_header_of_a_real_overlay(tmp_path: Path) -> None:
    base, made = tmp_path / "base, with comma", tmp_path / "disk.qcow2"
    base.write_bytes(bytes(1 << 20))
    argv = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", str(base), str(made)]
    subprocess.run([*argv, str(5 << 20)], check=True)
    assert overlay.read_overlay(made) == (5 << 20, str(base))


@pytest.mark.parametrize("content", [b"", b"QFI\xfb", b"x" * 100])
def test_a_file_that_is_no_qcow2(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "disk.qcow2"
    path.write_bytes(content)
    with pytest.raises(errors.StateCorrupt):
        overlay.read_overlay(path)


@pytest.mark.parametrize(
    ("kind", "size"), [("raw", 5 << 20), ("qcow2", 20 << 30), ("raw", (9 << 40) + 512)]
)
def test_an_overlay_equals_the_tools(tmp_path: Path, kind: str, size: int) -> None:
    base, ours, theirs = tmp_path / "base, ü", tmp_path / "ours", tmp_path / "theirs"
    subprocess.run(["qemu-img", "create", "-q", "-f", kind, str(base), "3M"], check=True)
    argv = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", kind, "-b", str(base), str(theirs)]
    subprocess.run([*argv, str(size)], check=True)
    overlay.create_overlay(ours, base, kind, size)
    assert overlay.read_overlay(ours) == overlay.read_overlay(theirs) == (size, str(base))
    assert ours.stat().st_mode & 0o777 == 0o600
    subprocess.run(["qemu-img", "check", "-q", str(ours)], check=True)
    ours_says, theirs_say = (_info(path) for path in (ours, theirs))
    assert ours_says == theirs_say
    for path in (ours, theirs):
        argv = ["qemu-io", "-f", "qcow2", "-c", f"write -P 7 {size - 512} 512", str(path)]
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["qemu-img", "check", "-q", str(ours)], check=True)
    subprocess.run(["qemu-img", "compare", "-q", str(ours), str(theirs)], check=True)
    argv = ["qemu-img", "resize", "-q", "-f", "qcow2", str(ours), "+1G"]
    subprocess.run(argv, check=True)


def _info(path: Path) -> dict[str, object]:
    argv = ["qemu-img", "info", "--output=json", str(path)]
    found: dict[str, object] = json.loads(
        subprocess.run(argv, check=True, capture_output=True).stdout
    )
    return {key: value for key, value in found.items() if key not in ("filename", "actual-size")}


def test_an_overlay_replaces_nothing(tmp_path: Path) -> None:
    path = tmp_path / "disk.qcow2"
    path.write_bytes(b"somebody's")
    with pytest.raises(errors.StateConflict):
        overlay.create_overlay(path, tmp_path / "base", "raw", 1 << 20)
    with pytest.raises(errors.HostError, match="1023"):
        overlay.create_overlay(tmp_path / "new", Path("/" + "x" * 1023), "raw", 1 << 20)
    assert [(path.name, path.read_bytes())] == [
        (p.name, p.read_bytes()) for p in tmp_path.iterdir()
    ]


def test_a_header_that_names_another_file_is_not_followed(tmp_path: Path) -> None:
    base, made = tmp_path / "base", tmp_path / "disk.qcow2"
    base.write_bytes(bytes(1 << 20))
    overlay.create_overlay(made, base, "raw", 5 << 20)
    with made.open("r+b") as file:
        file.seek(72)
        file.write((4).to_bytes(8, "big"))  # the bit that means "the data is in another file"
    with pytest.raises(errors.StateCorrupt, match="its header was changed"):
        overlay.read_overlay(made)
    with made.open("r+b") as file:
        file.seek(72)
        file.write((1).to_bytes(8, "big"))  # the bit of a file to repair after a crash
    assert overlay.read_overlay(made).size_bytes == 5 << 20


def test_a_named_disk_stands_alone(tmp_path: Path) -> None:
    path = tmp_path / "disk.qcow2"
    made = qcow2.new(1 << 20)
    path.write_bytes(made.head)
    overlay.check_alone(path)
    external = bytearray(made.head)
    external[79] |= qcow2.EXTERNAL_DATA
    backed = qcow2.new(1 << 20, backing=b"/etc/shadow", backing_format="raw").head
    for changed in (bytes(external), backed, b"raw".ljust(200, b"\0")):
        path.write_bytes(changed)
        with pytest.raises(errors.StateCorrupt, match="its header was changed"):
            overlay.check_alone(path)
