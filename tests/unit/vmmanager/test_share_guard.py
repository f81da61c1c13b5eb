"""What a share's server may never make: a child with as many rights as possible tries it."""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path

import pytest

from gaovm.aio import process
from gaovm.builder import notices
from gaovm.vmmanager.qemu import share_guard

# Each attempt is a raw system call, so that no library interferes; None means that it worked.
ATTEMPTS = """
import ctypes, errno, json, os, platform, sys
os.chdir(sys.argv[1]); os.umask(0)
libc = ctypes.CDLL(None, use_errno=True)
AT = -100
tries = {
    "chmod": lambda: libc.chmod(b"file", 0o4755),
    "fchmod": lambda: libc.fchmod(fd, 0o2755),
    "fchmodat": lambda: libc.fchmodat(AT, b"file", 0o6755, 0),
    "fchmodat2": lambda: libc.syscall(452, AT, b"file", 0o4755, 0),
    "open": lambda: libc.open(b"new1", os.O_CREAT | os.O_WRONLY, 0o4755),
    "tmpfile": lambda: libc.open(b".", os.O_TMPFILE | os.O_WRONLY, 0o4755),
    "openat": lambda: libc.openat(AT, b"new2", os.O_CREAT | os.O_WRONLY, 0o2755),
    "creat": lambda: libc.creat(b"new3", 0o4755),
    "openat2": lambda: libc.syscall(437, AT, b"new4", (ctypes.c_uint64 * 3)(0o101, 0o4755, 0), 24),
    "mkdir": lambda: libc.mkdir(b"dir1", 0o2755),
    "mkdirat": lambda: libc.mkdirat(AT, b"dir2", 0o2755),
    "mknod": lambda: libc.mknod(b"new5", 0o104755, 0),
    "mknodat": lambda: libc.mknodat(AT, b"new6", 0o104755, 0),
    "block": lambda: libc.mknod(b"dev1", 0o060666, os.makedev(7, 0)),
    "character": lambda: libc.mknodat(AT, b"dev2", 0o020666, os.makedev(1, 3)),
    "io_uring": lambda: libc.syscall(425, 1, ctypes.create_string_buffer(120)),
    "capability": lambda: libc.setxattr(
        b"file", b"security.capability", bytes.fromhex("0100000202000000000000000000000000000000"),
        20, 0),
    "plain chmod": lambda: libc.chmod(b"file", 0o1755),
    "plain open": lambda: libc.open(b"good", os.O_CREAT | os.O_WRONLY, 0o755),
    "open without a file to make": lambda: libc.open(b"good", os.O_WRONLY, 0o4755),
    "pipe": lambda: libc.mknod(b"pipe", 0o010666, 0),
    "plain mkdir": lambda: libc.mkdir(b"dir3", 0o1777),
}
fd = libc.open(b"file", os.O_CREAT | os.O_RDWR, 0o600)
result = {}
for name, attempt in tries.items():
    ctypes.set_errno(0)
    result[name] = errno.errorcode[ctypes.get_errno()] if attempt() < 0 else None
libc.write(libc.open(b"was-set-id", os.O_WRONLY), b"#", 1)
print(json.dumps(result))
"""
ALLOWED = {
    "plain chmod",
    "plain open",
    "open without a file to make",
    "pipe",
    "plain mkdir",
}
UNSEEN = {"openat2", "io_uring"}


async def attempts(place: Path, *, guarded: bool) -> dict[str, str | None]:
    argv = [sys.executable, "-c", ATTEMPTS, str(place)]
    guard = share_guard.before_exec() if guarded else None
    async with process.spawn(
        argv, stdout=process.PIPE, before_exec=guard, env={"PATH": "/usr/bin"}
    ) as child:
        if child.stdout is None:
            raise AssertionError("no output")
        output = await child.stdout.read()
        assert await child.wait() == 0
    found: dict[str, str | None] = json.loads(output)
    return found


def set_id_file(place: Path) -> Path:
    file = place / "was-set-id"
    file.write_text("#!/bin/sh\n")
    file.chmod(0o4755)
    return file


async def test_files_that_give_power_cannot_be_made(tmp_path: Path) -> None:
    old = set_id_file(tmp_path)
    found = await attempts(tmp_path, guarded=True)
    for name, error in found.items():
        if name in ALLOWED:
            assert error is None, name
        elif name in UNSEEN:
            assert error == "ENOSYS", name
        else:
            assert error in ("EPERM", "ENOSYS"), name  # ENOSYS: a kernel without fchmodat2
    for path in tmp_path.iterdir():
        mode = path.lstat().st_mode
        assert not mode & 0o6000, path.name
        assert not stat.S_ISCHR(mode) and not stat.S_ISBLK(mode), path.name
    assert not old.stat().st_mode & 0o6000  # the guest wrote to it, so it lost the bit


@pytest.mark.skipif(os.geteuid() != 0, reason="a plain user may make less")
async def test_the_attempts_work_without_a_guard(tmp_path: Path) -> None:
    old = set_id_file(tmp_path)
    found = await attempts(tmp_path, guarded=False)
    worked = {name for name, error in found.items() if error is None}
    assert worked >= {"chmod", "fchmod", "open", "tmpfile", "openat", "creat", "block", "character"}
    assert (tmp_path / "new1").stat().st_mode & 0o4000
    assert old.stat().st_mode & 0o4000


NOTICES = """
import ctypes, json, os, sys
os.chdir(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
mode, size, flags = map(int, sys.argv[2:])
fd = os.open("file", os.O_RDWR)
print(json.dumps([
    libc.fchmod(fd, mode), libc.fchmodat(-100, b"file", mode, 0), libc.fchmod(fd, 0o100000 | mode),
    libc.ftruncate(fd, ctypes.c_int64(size)), libc.lsetxattr(b"file", b"user.a", b"1", 1, flags),
    libc.ftruncate(fd, ctypes.c_int64(size & 0xFFFF)),
    libc.lsetxattr(b"file", b"user.b", b"1", 1, 1),
]))
"""


async def test_notices_succeed_and_change_nothing(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("content")
    file.chmod(0o640)
    numbers = (notices.MODE, notices.SIZE, notices.XATTR_FLAGS)
    argv = [sys.executable, "-c", NOTICES, str(tmp_path), *map(str, numbers)]
    async with process.spawn(
        argv, stdout=process.PIPE, before_exec=share_guard.before_exec(), env={"PATH": "/usr/bin"}
    ) as child:
        if child.stdout is None:
            raise AssertionError("no output")
        assert json.loads(await child.stdout.read()) == [0] * 7
        assert await child.wait() == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert file.stat().st_size == notices.SIZE & 0xFFFF  # of the last call, which is no notice
    assert os.listxattr(file) == ["user.b"]
