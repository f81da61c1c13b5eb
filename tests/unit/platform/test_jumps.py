"""Jumps of the wall clock. No test sets the machine's clock: a fake read plays the kernel."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from gaovm.platform import jumps


async def test_each_jump_is_reported_and_the_timer_set_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[int] = []
    watch = jumps.Jumps(lambda: told.append(1))
    with pytest.raises(BlockingIOError):
        os.read(watch._fd, 8)

    def cancelled(fd: int, size: int) -> bytes:
        raise OSError(errno.ECANCELED, "the clock was set")

    with monkeypatch.context() as patched:
        patched.setattr(os, "read", cancelled)
        watch._readable()
        watch._readable()
    assert told == [1, 1]
    watch._readable()
    assert told == [1, 1], "the clock did not jump"
    watch.close()
    watch.close()


async def test_the_kernel_cancels_the_timer_when_the_clock_jumps() -> None:
    watch = jumps.Jumps(lambda: None)
    described = Path(f"/proc/self/fdinfo/{watch._fd}").read_text()
    watch.close()
    fields = dict(line.split(":") for line in described.splitlines() if line.count(":") == 1)
    assert fields["clockid"].strip() == "0"
    # the flags TFD_TIMER_ABSTIME and TFD_TIMER_CANCEL_ON_SET, in octal
    assert int(fields["settime flags"], 8) == 3
