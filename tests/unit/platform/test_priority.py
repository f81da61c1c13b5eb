"""Priorities: which thread runs first, what children get, who loses real time for overuse."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from typing import Any

import pytest

from gaovm.platform import priority

USUAL = [os.SCHED_OTHER, 0]
NICE = [os.SCHED_OTHER | os.SCHED_RESET_ON_FORK, priority.NICE]
REALTIME = [os.SCHED_RR | os.SCHED_RESET_ON_FORK, priority.NICE]

PRELUDE = """
import asyncio, json, os, signal, subprocess, sys, threading, time
from gaovm.platform import priority

def now(thread=0):
    return [os.sched_getscheduler(thread), os.getpriority(os.PRIO_PROCESS, thread)]

CHILD = "import os; print(os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0))"
found = {}
"""


def in_a_process(text: str) -> dict[str, Any]:
    """Return what ``text`` finds in a separate process, whose priority only it changes."""
    program = PRELUDE + textwrap.dedent(text) + "\nprint(json.dumps(found))"
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, timeout=60
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def in_a_thread(work: Callable[[], object]) -> list[Any]:
    seen: list[Any] = []
    thread = threading.Thread(target=lambda: seen.append(work()))
    thread.start()
    thread.join()
    return seen


def permitted() -> bool:
    code = "import os; os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True)
    return done.returncode == 0


real_time = pytest.mark.skipif(not permitted(), reason="this user may not have real time")


@real_time
def test_a_thread_runs_first_and_its_children_run_normally() -> None:
    found = in_a_process("""
        with priority.realtime(), priority.first():
            found["within"] = now()
            found["program"] = subprocess.check_output([sys.executable, "-c", CHILD], text=True)
            thread = threading.Thread(target=lambda: found.update(thread=now()))
            thread.start(); thread.join()
            with priority.normal():
                found["for exec"] = now()
            found["again"] = now()
        found["after"] = now()
    """)
    assert found["within"] == found["again"] == REALTIME
    assert found["program"].split() == ["0", "0"]
    assert found["thread"] == USUAL
    assert found["for exec"] == found["after"] == NICE


@real_time
def test_a_busy_thread_gets_real_time_again_after_a_rest() -> None:
    found = in_a_process("""
        priority.REST_S = 0.2

        async def work(name):
            await asyncio.sleep(0.4)  # a task that wakes up has a whole stretch before it
            found["before " + name] = now()
            begin = time.thread_time()
            while time.thread_time() < begin + 5 and now()[0] & ~os.SCHED_RESET_ON_FORK:
                pass
            found[name + "_s"] = time.thread_time() - begin
            found["after " + name] = now()

        async def main():
            with priority.first():
                for name in ("first", "second", "third"):
                    await work(name)

        with priority.realtime():
            asyncio.run(main())
        found["left"] = now()
        found["handler"] = signal.getsignal(signal.SIGXCPU) == signal.SIG_DFL
    """)
    for name in ("first", "second", "third"):
        assert found[f"before {name}"] == REALTIME
        assert found[f"after {name}"] == NICE
        # The kernel adds a second to the limit each time; the lender subtracts it again.
        assert priority.STRETCH_S <= found[f"{name}_s"] < 1
    assert found["left"] == NICE
    assert found["handler"]


@real_time
def test_without_the_guard_there_is_no_real_time() -> None:
    found = in_a_process("""
        with priority.first():
            found["within"] = now()
    """)
    assert found["within"] == NICE


@real_time
def test_a_priority_set_by_the_user_stays() -> None:
    found = in_a_process("""
        os.setpriority(os.PRIO_PROCESS, 0, 7)
        with priority.realtime(), priority.first():
            found["within"] = now()
    """)
    assert found["within"] == [os.SCHED_OTHER, 7]


def test_a_refused_priority_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    def look() -> tuple[bool, int, int]:
        done = priority.nice()
        with priority.first():
            return done, os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0)

    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    assert in_a_thread(look) == [(False, *USUAL)]


def usual_priority(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may have chosen another."""
    monkeypatch.setattr(os, "sched_getscheduler", lambda _: os.SCHED_OTHER)
    monkeypatch.setattr(os, "getpriority", lambda *_: 0)


def test_who_asks_for_the_refusal_keeps_its_priority(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user with RLIMIT_RTPRIO alone may take real time, and may not clear the flag again."""
    changed: set[int] = set()

    def schedule(pid: int, policy: int, _: os.sched_param) -> None:
        changed.add(pid or threading.get_native_id())
        if not policy & os.SCHED_RESET_ON_FORK:
            raise PermissionError(1, "Operation not permitted")

    usual_priority(monkeypatch)
    monkeypatch.setattr(os, "sched_setscheduler", schedule)
    monkeypatch.setattr(os, "setpriority", lambda *_: None)
    assert priority.refusal() == ""
    assert changed and threading.get_native_id() not in changed


def test_without_a_better_nice_value_there_is_no_real_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: int) -> None:
        raise PermissionError(13, "Permission denied")

    usual_priority(monkeypatch)
    monkeypatch.setattr(os, "sched_setscheduler", lambda *_: None)
    monkeypatch.setattr(os, "setpriority", refuse)
    assert priority.refusal() == "Permission denied"
