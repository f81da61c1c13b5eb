"""cpio itself can read the archive, and the same files always give the same bytes."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from gaovm.images import cpio, initramfs

ENTRIES = [
    cpio.file("dir/b.bin", bytes(range(256)) * 5, 0o755),
    cpio.directory("dir"),
    cpio.file("dir/a", b""),
    cpio.character_node("dev/console", 5, 1),
    cpio.directory("dev"),
]


def test_the_order_given_does_not_change_the_bytes() -> None:
    assert cpio.archive(ENTRIES) == cpio.archive(reversed(ENTRIES))


def test_archive_is_aligned() -> None:
    for size in range(8):
        assert len(cpio.archive([cpio.file("x", bytes(size))])) % 512 == 0


def test_header_of_one_file() -> None:
    data = cpio.archive([cpio.file("x", b"hello", 0o600)])
    assert data[:6] == b"070701"
    fields = [int(data[6 + 8 * i : 14 + 8 * i], 16) for i in range(13)]
    assert fields == [1, 0o100600, 0, 0, 1, 0, 5, 0, 0, 0, 0, 2, 0]
    assert data[110:112] == b"x\0"
    assert data[112:117] == b"hello"


@pytest.mark.parametrize("path", ["/abs", "a/../b", "", "a//b", "./a", "a\nb"])
def test_bad_paths_are_refused(path: str) -> None:
    with pytest.raises(ValueError, match="normal path"):
        cpio.archive([cpio.file(path, b"")])


def test_a_path_occurs_once() -> None:
    with pytest.raises(ValueError, match="twice"):
        cpio.archive([cpio.file("a", b"1"), cpio.file("a", b"2")])


@pytest.mark.skipif(shutil.which("cpio") is None, reason="needs the cpio program")
def test_cpio_unpacks_it(tmp_path: Path) -> None:
    archive = cpio.archive([e for e in ENTRIES if os.geteuid() == 0 or "console" not in e.path])
    done = subprocess.run(
        ["cpio", "-idm", "--quiet"], input=archive, cwd=tmp_path, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "dir/b.bin").read_bytes() == bytes(range(256)) * 5
    assert (tmp_path / "dir/b.bin").stat().st_mode & 0o777 == 0o755
    if os.geteuid() == 0:
        assert (tmp_path / "dev/console").stat().st_rdev == os.makedev(5, 1)


def test_agent_segment_is_compressed_and_ends_with_a_mark() -> None:
    segment = initramfs.agent_segment(b"\x7fELF" + bytes(100_000))
    assert segment[:4] == bytes.fromhex("02214c18")
    size = int.from_bytes(segment[4:8], "little")
    assert segment[8 + size : 12 + size] == bytes(4)
    assert len(segment) % 4 == 0
    assert len(segment) < 5_000


@pytest.mark.skipif(shutil.which("lz4") is None, reason="needs the lz4 program")
def test_lz4_unpacks_a_segment() -> None:
    raw = cpio.archive([cpio.file("init", os.urandom(300_000))])
    segment = initramfs.compress(raw)
    end = 8 + int.from_bytes(segment[4:8], "little")
    done = subprocess.run(["lz4", "-dc"], input=segment[:end], capture_output=True, check=True)
    assert done.stdout == raw
