"""The end of a process makes a descriptor readable, with either way to watch."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from gaovm.platform import exits
from gaovm.platform.linux.pidfd import Pidfd
from gaovm.platform.portable import threads
from gaovm.platform.portable.threads import Waiting

WATCHES: list[Callable[[int], exits.Exit]] = [Pidfd, Waiting]
SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)"]
LIMIT_S = 60


@pytest.mark.parametrize("watch", WATCHES)
def test_the_end_of_a_child_is_seen_before_it_is_reaped(watch: Callable[[int], exits.Exit]) -> None:
    child = subprocess.Popen(SLEEPER)
    handle = watch(child.pid)
    assert not exits.wait(handle, 0.05)
    child.kill()
    assert exits.wait(handle, LIMIT_S)
    assert exits.is_child(child.pid)
    assert child.wait() == -signal.SIGKILL
    assert not exits.is_child(child.pid)
    handle.close()
    handle.close()
    assert handle.fileno() == -1


@pytest.mark.parametrize("watch", WATCHES)
def test_a_process_that_does_not_exist(watch: Callable[[int], exits.Exit]) -> None:
    child = subprocess.Popen(["true"])
    child.wait()
    with pytest.raises(ProcessLookupError):
        watch(child.pid)


@pytest.mark.parametrize("watch", WATCHES)
def test_a_process_that_is_no_child(
    watch: Callable[[int], exits.Exit], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "_LOOK_S", 0.05)
    parent = subprocess.Popen(
        ["sh", "-c", "sleep 60 & echo $!; wait"], stdout=subprocess.PIPE, start_new_session=True
    )
    assert parent.stdout is not None
    grandchild = int(parent.stdout.readline())
    handle = watch(grandchild)
    assert not exits.wait(handle, 0.1)
    os.killpg(parent.pid, signal.SIGKILL)
    assert exits.wait(handle, LIMIT_S)
    parent.wait()
    parent.stdout.close()
    handle.close()


def test_closing_a_watch_does_not_touch_the_process() -> None:
    child = subprocess.Popen(SLEEPER)
    Waiting(child.pid).close()
    time.sleep(0.05)
    assert child.poll() is None
    child.kill()
    child.wait()


def test_the_seam_takes_what_this_system_has() -> None:
    watched = exits.watch(os.getpid())
    assert isinstance(watched, Pidfd)
    assert not select.select([watched.fileno()], [], [], 0)[0]
    watched.close()
