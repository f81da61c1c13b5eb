"""The locks of additional disks: one VM at a time, and no lock outlives its process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gaovm import errors
from gaovm.driver import lock
from gaovm.wire.driver.launch import DiskFile

HOLDER = """
import signal, sys
from gaovm.driver import lock
from gaovm.wire.driver.launch import DiskFile
held = lock.take_disks([DiskFile(name="a", path=sys.argv[1], format="raw", lock=sys.argv[2])])
print("held", flush=True)
signal.pause()
"""


def disk(tmp_path: Path, name: str) -> DiskFile:
    directory = tmp_path / name
    directory.mkdir()
    (directory / "disk.raw").touch()
    return DiskFile(
        name=name,
        path=str(directory / "disk.raw"),
        format="raw",
        lock=str(directory / "lock"),
    )


def test_a_disk_has_one_owner_and_all_are_taken_or_none(tmp_path: Path) -> None:
    a, b = disk(tmp_path, "a"), disk(tmp_path, "b")
    held = lock.take_disks([b])
    with pytest.raises(errors.DiskInUse, match=f"disk b is in use by process {os.getpid()}"):
        lock.take_disks([a, b])
    again = lock.take_disks([a])  # it was given back
    for each in (*held, *again):
        each.release()
    for each in lock.take_disks([a, b]):
        each.release()


def test_a_lock_falls_with_its_process(tmp_path: Path) -> None:
    a = disk(tmp_path, "a")
    argv = [sys.executable, "-c", HOLDER, a.path, a.lock]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(errors.DiskInUse, match=f"process {holder.pid}"):
            lock.take_disks([a])
        holder.send_signal(signal.SIGKILL)
    for each in lock.take_disks([a]):
        each.release()


def test_a_removed_disk_is_missing(tmp_path: Path) -> None:
    a, b = disk(tmp_path, "a"), disk(tmp_path, "b")
    Path(b.path).unlink()
    with pytest.raises(errors.DiskMissing, match="disk b was removed"):
        lock.take_disks([a, b])
    assert not Path(b.lock).exists(), "nothing of a removed disk comes back"
    for each in lock.take_disks([a]):
        each.release()
