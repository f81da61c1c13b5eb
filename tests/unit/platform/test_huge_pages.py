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


def of_huge_pages() -> list[str]:
    """Return the mounts like ours; tests beside this one make others."""
    return [line for line in MOUNTS.read_text().splitlines() if "huge=" in line]


def test_it_is_a_file_without_a_name_that_can_be_mapped_and_opened_again() -> None:
    if not (MAY_MOUNT and HUGE.exists()):
        pytest.skip("this process may not mount, or the kernel has no huge pages")
    assert huge_pages.available()
    before = len(os.listdir("/proc/self/fd"))
    mounts = of_huge_pages()
    fd = huge_pages.create(3 * MIB + 4096)
    try:
        assert os.fstat(fd).st_size == 3 * MIB + 4096
        assert not os.get_inheritable(fd)
        with open(f"/dev/fd/{fd}", "r+b") as again, mmap.mmap(again.fileno(), 0) as mapped:
            mapped[0] = mapped[-1] = 1
        assert os.pread(fd, 1, 3 * MIB + 4095) == b"\1", "also what is no whole huge page"
        assert os.fstat(fd).st_blocks * 512 in (8192, 2 * MIB + 4096), "a huge page and a small one"
        assert of_huge_pages() == mounts
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
