"""Both halves report the same about processes, as far as each can."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from gaovm import errors
from gaovm.aio import files
from gaovm.platform import processes
from gaovm.platform.linux import proc
from gaovm.platform.portable import ps

HALVES: list[ModuleType] = [proc, ps]


@pytest.mark.parametrize("half", HALVES)
def test_the_state_of_a_process(half: ModuleType) -> None:
    child = subprocess.Popen(["sleep", "60"])
    again = half.look(child.pid)
    assert again.state in "SRD"
    assert abs(half.look(child.pid).start_time - again.start_time) <= half.START_TOLERANCE
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert half.look(child.pid).state == "Z"
    child.wait()
    with pytest.raises(errors.NotFound):
        half.look(child.pid)


@pytest.mark.parametrize("half", HALVES)
def test_memory(half: ModuleType) -> None:
    assert half.resident_bytes() > 1 << 20
    child = subprocess.Popen(
        ["sh", "-c", "sleep 60 & echo; wait"], stdout=subprocess.PIPE, start_new_session=True
    )
    assert child.stdout is not None
    child.stdout.readline()
    size, count = half.tree_memory(child.pid)
    assert count == 2
    assert size > 100_000
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()
    assert half.tree_memory(child.pid) == (0, 0)


@pytest.mark.parametrize("half", HALVES)
def test_naming_a_process_and_the_id_of_the_boot(half: ModuleType) -> None:
    assert half.boot_id() == half.boot_id()
    code = f"from {half.__name__} import name_self; name_self('gaovm:test-of-a-long-name')"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_which_process_has_locked_a_file(tmp_path: Path) -> None:
    lock = files.Lock(tmp_path / "lock")
    assert not processes.has_locked(os.getpid(), lock.path)
    assert lock.acquire()
    assert processes.has_locked(os.getpid(), lock.path)
    assert not processes.has_locked(os.getppid(), lock.path)
    assert not ps.has_locked(os.getpid(), lock.path)


def test_a_missing_ps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(errors.HostError, match="ps cannot be run"):
        ps.look(os.getpid())
    assert ps.tree_memory(os.getpid()) == (0, 0)
