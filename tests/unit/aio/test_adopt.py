"""What a process had before it executed another program: children and locks are taken over."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from gaovm import errors
from gaovm.aio import files, process


async def test_a_child_is_ended_and_reaped_with_the_block() -> None:
    popen = subprocess.Popen(["sleep", "60"])
    async with process.adopt(popen.pid) as child:
        assert child.returncode is None
    assert child.returncode == -signal.SIGTERM
    popen.returncode = child.returncode  # reaped already: for the destructor


async def test_a_child_that_has_ended_meanwhile_has_its_status() -> None:
    popen = subprocess.Popen(["sh", "-c", "exit 3"])
    os.waitid(os.P_PID, popen.pid, os.WEXITED | os.WNOWAIT)
    async with process.adopt(popen.pid) as child:
        assert await child.wait() == 3
    popen.returncode = 3


async def test_a_stranger_is_not_adopted() -> None:
    with pytest.raises(errors.NotFound, match="no child"):
        async with process.adopt(1):
            pass


def test_a_lock_goes_on_with_its_descriptor(tmp_path: Path) -> None:
    before, after, other = (files.Lock(tmp_path / "lock") for _ in range(3))
    assert before.acquire()
    fd = os.dup(before.fileno())
    os.set_inheritable(fd, True)
    before.forget()
    after.adopt(fd)
    assert after.held
    assert not os.get_inheritable(fd)
    assert not other.acquire()
    after.release()
    assert other.acquire()
    other.release()


def test_a_descriptor_of_another_file_is_no_lock(tmp_path: Path) -> None:
    (tmp_path / "lock").touch()
    lock = files.Lock(tmp_path / "lock")
    with (tmp_path / "other").open("w") as other, pytest.raises(errors.StateCorrupt):
        lock.adopt(other.fileno())
    with pytest.raises(errors.HostError):
        lock.adopt(999)
    assert not lock.held
