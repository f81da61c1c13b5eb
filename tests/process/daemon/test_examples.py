"""The programs in examples/, run as a user runs them, against VMs on the fake hypervisor."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import measuring
from tests.process.daemon.world import World

EXAMPLES = Path(__file__).resolve().parents[3] / "examples"


@pytest.fixture
def running(world: World) -> Iterator[World]:
    """Run a world with two VMs."""
    world.daemons.start()
    world.up(world.daemons.client(), "one-dev", "two-dev")
    yield world


def run(world: World, program: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, EXAMPLES / program, *words],
        env={**os.environ, **measuring.environment(), "GAOVM_HOME": str(world.daemons.home)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_run_everywhere(running: World) -> None:
    done = run(running, "run_everywhere.py", "echo", "hello")
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(done.stdout.splitlines()) == ["one-dev: hello", "two-dev: hello"]
    assert run(running, "run_everywhere.py", "false").returncode == 1
    done = run(running, "run_everywhere.py", "/no/such/program")
    assert done.returncode == 1
    assert "one-dev: " in done.stderr + done.stdout


def test_follow_events_goes_on_where_it_stopped(running: World, tmp_path: Path) -> None:
    file = tmp_path / "last"
    first = run(running, "follow_events.py", str(file), "3").stdout.splitlines()
    assert [int(line.split()[0]) for line in first] == [1, 2, 3]
    assert file.read_text() == "3"
    assert first[0].split()[2] in {"one-dev", "-"}
    second = run(running, "follow_events.py", str(file), "2").stdout.splitlines()
    assert [int(line.split()[0]) for line in second] == [4, 5]


def test_wrong_words_are_told() -> None:
    for program in ("run_everywhere.py", "follow_events.py"):
        done = subprocess.run(
            [sys.executable, EXAMPLES / program], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr.startswith("usage: ")) == (1, True)
