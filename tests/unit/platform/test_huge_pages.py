"""Shared memory in huge pages, with real system calls if this process may make them."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

import pytest

from gaovm import errors
from gaovm.platform import huge_pages

MIB = 1 << 20
MOUNTS = Path("/proc/self/mountinfo")
HUGE = Path("/sys/kernel/mm/transparent_hugepage/shmem_enabled")
CAPABILITIES = next(
    line.split()[1]
    for line in Path("/proc/self/status").read_text().splitlines()
    if line.startswith("CapEff:")
)
MAY_MOUNT = bool(int(CAPABILITIES, 16) & 1 << 21)  # CAP_SYS_ADMIN


def test_huge_pages_are_an_unnamed_file_that_can_be_mapped_and_reopened() -> None:
    if not (MAY_MOUNT and HUGE.exists()):
        pytest.skip("this process may not mount, or the kernel has no huge pages")
    assert huge_pages.available()
    before = len(os.listdir("/proc/self/fd"))
    mounts = MOUNTS.read_text()
    fd = huge_pages.create(3 * MIB + 4096)
    try:
        assert os.fstat(fd).st_size == 3 * MIB + 4096
        assert not os.get_inheritable(fd)
        with open(f"/dev/fd/{fd}", "r+b") as again, mmap.mmap(again.fileno(), 0) as mapped:
            mapped[0] = mapped[-1] = 1
        assert os.pread(fd, 1, 3 * MIB + 4095) == b"\1", "the last, smaller part must be mapped too"
        assert os.fstat(fd).st_blocks * 512 in (8192, 2 * MIB + 4096), "not a huge and a small page"
        assert MOUNTS.read_text() == mounts
    finally:
        os.close(fd)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_process_that_may_not_mount_gets_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(number: int, *_: object) -> int:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(huge_pages, "_call", refuse)
    assert not huge_pages.available()
    with pytest.raises(errors.HostError, match="huge pages: Operation not permitted"):
        huge_pages.create(MIB)
