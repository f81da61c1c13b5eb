"""A user changes the config: at once, at the next start, by the file."""

from __future__ import annotations

import json
from typing import Any

from tests.e2e.world import LIGHT, World


def fields(found: list[dict[str, Any]]) -> list[str]:
    return [difference["field"] for difference in found]


def test_a_running_vm_is_changed_and_changes_at_its_next_start(world: World) -> None:
    project = world.project("staged", LIGHT)
    world.run("up", cwd=project)

    def inside(script: str) -> str:
        return world.run("exec", "--", "sh", "-c", script, cwd=project).stdout.decode().strip()

    size = "df -k --output=size / | tail -1"
    before = int(inside(size))
    plan = world.json("plan", "cpus=2", "disk=6GiB", cwd=project)
    assert (fields(plan["now"]), fields(plan["next_start"])) == (["disk"], ["cpus"])
    done = world.json("set", "cpus=2", "memory=384MiB", "disk=6GiB", "env.A=1", cwd=project)
    assert (fields(done["applied"]), fields(done["staged"])) == (
        ["disk", "env.A"],
        ["cpus", "memory"],
    )
    assert int(inside(size)) > before + (1 << 20)
    assert inside("nproc; echo $A") == "1\n1"
    assert fields(world.json("status", cwd=project)["pending"]) == ["cpus", "memory"]
    kept = world.home / "vms" / "staged-dev" / "pending_config.json"
    assert json.loads(kept.read_text())["spec"]["processors"]["count"] == 2
    world.run("set", "disk=3GiB", cwd=project, check=2)
    world.run("stop", cwd=project)
    (project / ".lima" / "config.yaml").write_text(LIGHT + "env: {B: two}\n")
    assert fields(world.json("diff", cwd=project)["file"]) == ["env.B"]
    world.run("up", "--wait=agent", cwd=project)
    assert inside("nproc; echo $A$B") == "2\n1two"
    assert not kept.exists()
    shown = world.json("diff", cwd=project)
    assert (shown["pending"], shown["file"]) == ([], [])
    world.run("destroy", "-y", cwd=project)
