"""Calls that may never return block only threads of their own."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading

import pytest

from gaovm import errors
from gaovm.aio import threads


async def test_results_and_failures_come_back() -> None:
    pool = threads.Detached("t", 1)
    assert await pool.run(lambda a, b: a + b, 1, 2) == 3
    with pytest.raises(OSError, match="gone"):
        await pool.run(_fail)


def _fail() -> None:
    raise OSError("gone")


async def test_a_thread_that_cannot_start_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    pool = threads.Detached("t", 1)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(errors.HostError, match="no more threads"):
            await pool.run(lambda: 7)
    async with asyncio.timeout(10):
        assert await pool.run(lambda: 7) == 7


async def test_a_hung_call_counts_until_it_has_ended() -> None:
    pool = threads.Detached("t", 1)
    hung, began = threading.Event(), threading.Event()

    def hang() -> None:
        began.set()
        hung.wait(60)

    first = asyncio.ensure_future(pool.run(hang))
    await asyncio.to_thread(began.wait, 60)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    second = asyncio.ensure_future(pool.run(lambda: 7))
    assert await asyncio.to_thread(lambda: 8) == 8
    assert not second.done(), "the first call holds the only thread"
    hung.set()
    assert await second == 7


def test_a_process_exits_while_a_call_hangs() -> None:
    code = """
import asyncio, time
from gaovm.aio import threads
async def main():
    work = asyncio.ensure_future(threads.Detached("t", 1).run(time.sleep, 3600))
    await asyncio.sleep(0)
    work.cancel()
asyncio.run(main())
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


async def test_the_threads_take_no_signals() -> None:
    pool = threads.Detached("t", 1)
    blocked = await pool.run(signal.pthread_sigmask, signal.SIG_BLOCK, ())
    assert {signal.SIGTERM, signal.SIGINT} <= blocked
