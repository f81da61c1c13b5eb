"""A process that executes another program takes over the children and locks it had before."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from gaovm import errors
from gaovm.aio import files, process


async def test_leaving_the_block_ends_and_reaps_the_child() -> None:
    popen = subprocess.Popen(["sleep", "60"])
    async with process.adopt(popen.pid) as child:
        assert child.returncode is None
    assert child.returncode == -signal.SIGTERM
    popen.returncode = child.returncode  # it is reaped: tell the destructor


async def test_a_child_that_ended_before_adoption_keeps_its_exit_status() -> None:
    popen = subprocess.Popen(["sh", "-c", "exit 3"])
    os.waitid(os.P_PID, popen.pid, os.WEXITED | os.WNOWAIT)
    async with process.adopt(popen.pid) as child:
        assert await child.wait() == 3
    popen.returncode = 3


async def test_only_own_children_are_adopted() -> None:
    with pytest.raises(errors.NotFound, match="no child"):
        async with process.adopt(1):
            pass


def test_a_lock_is_taken_over_by_its_descriptor(tmp_path: Path) -> None:
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


def test_a_descriptor_of_another_file_is_refused_as_lock(tmp_path: Path) -> None:
    (tmp_path / "lock").touch()
    lock = files.Lock(tmp_path / "lock")
    with (tmp_path / "other").open("w") as other, pytest.raises(errors.StateCorrupt):
        lock.adopt(other.fileno())
    with pytest.raises(errors.HostError):
        lock.adopt(999)
    assert not lock.held
