"""The agent survives a guest out of memory; after its own death another one takes over."""

from __future__ import annotations

import time
from pathlib import Path

from tests.e2e.world import World

KILLED = b"gaovm: the guest is out of memory: its kernel killed a process of this command\n"
# ``tail`` keeps the last line of its input, and /dev/zero has one without an end.
HOG = ("tail", "/dev/zero")


def agent_pid(world: World, vm: Path) -> str:
    """Return the serving agent's pid in the guest."""
    line = "pgrep -fx '@gaovm-agent ?'"
    return world.run("exec", "--user", "root", "--", "sh", "-c", line, cwd=vm).stdout.decode()


def test_a_guest_out_of_memory_kills_the_command_and_nothing_else(world: World, vm: Path) -> None:
    before = agent_pid(world, vm)
    own = world.run("exec", "--", "cat", "/proc/self/cgroup", "/proc/self/oom_score_adj", cwd=vm)
    assert b"0::/gaovm/exec-" in own.stdout
    assert own.stdout.endswith(b"\n0\n"), (
        "a command is as exempted from the OOM killer as the agent"
    )
    ended = world.run("exec", "--", *HOG, cwd=vm, check=137)
    assert ended.stderr == KILLED
    script = f"{' '.join(HOG)}; echo went on after $?"
    ended = world.run("exec", "--", "sh", "-c", script, cwd=vm)
    assert ended.stdout == b"went on after 137\n"
    assert KILLED in ended.stderr
    assert agent_pid(world, vm) == before


def test_an_agent_that_dies_is_started_again(world: World, vm: Path) -> None:
    before = agent_pid(world, vm)
    world.run("exec", "--user", "root", "--", "kill", "-9", before.strip(), cwd=vm, check=None)
    end = time.monotonic() + 60
    while world.run("exec", "--", "true", cwd=vm, check=None).returncode != 0:
        assert time.monotonic() < end, "no agent came back"
        time.sleep(0.2)
    assert agent_pid(world, vm) != before
    assert world.json("status", cwd=vm)["readiness"] == "ready"


def test_ready_means_that_the_distribution_has_booted(world: World, vm: Path) -> None:
    world.run("restart", cwd=vm)
    at = world.json("status", cwd=vm)["boot"]
    assert at["ready_ms"] > at["agent_ms"]
    state = world.run("exec", "--", "systemctl", "is-system-running", cwd=vm)
    assert state.stdout == b"running\n"
