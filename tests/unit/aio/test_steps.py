"""Marked steps are listed, cost nothing by default, and halt once at a chosen point."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

from gaovm.aio import steps

PROGRAM = """
import asyncio
from gaovm.aio import steps

@steps.step
def plain(word): return word.upper()

@steps.step
async def waiting(word): return plain(word)

print(asyncio.run(waiting("a")), asyncio.run(waiting("b")), flush=True)
"""


@steps.step
async def _marked(value: int) -> int:
    """Doubles."""
    return value * 2


async def test_a_step_is_listed_and_changes_nothing() -> None:
    name = f"{__name__}._marked"
    assert name in steps.STEPS
    assert await _marked(2) == 4
    assert _marked.__doc__ == "Doubles."


def run(**environment: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
    )


def test_a_process_halts_once_at_the_chosen_point(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        listener.settimeout(30)
        process = run(GAOVM_HALT_AT="__main__.plain:end", GAOVM_HALT_SOCKET=str(path))
        halted, _ = listener.accept()
        with halted:
            assert json.loads(halted.makefile().readline()) == {
                "pid": process.pid,
                "point": "__main__.plain:end",
            }
            assert process.poll() is None
        assert process.communicate(timeout=30)[0] == b"A B\n"


def test_points_are_logged_in_order(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert run(GAOVM_STEP_LOG=str(log)).communicate(timeout=30)[0] == b"A B\n"
    once = ["waiting:begin", "plain:begin", "plain:end", "waiting:end"]
    assert log.read_text().split() == [f"__main__.{point}" for point in once * 2]


def test_a_process_does_not_halt_if_nobody_listens(tmp_path: Path) -> None:
    process = run(GAOVM_HALT_AT="__main__.plain:begin", GAOVM_HALT_SOCKET=str(tmp_path / "no"))
    assert process.communicate(timeout=30)[0] == b"A B\n"


def test_a_rehearsal_reaches_no_point(tmp_path: Path) -> None:
    log = tmp_path / "log"
    program = (
        "from gaovm.aio import steps\n"
        "@steps.step\ndef one() -> None: ...\n"
        "with steps.rehearsal():\n    one()\n"
        "one()\n"
    )
    environment = {**os.environ, "GAOVM_STEP_LOG": str(log)}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, timeout=30)
    assert log.read_text().split() == ["__main__.one:begin", "__main__.one:end"]
