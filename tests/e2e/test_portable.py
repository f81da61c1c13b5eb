"""A VM boots with the half of the platform that every Unix has: as on a Mac, on QEMU here."""

from __future__ import annotations

from tests.e2e.world import LIGHT, World

from gaovm.platform import system


def test_a_vm_runs_with_the_portable_platform(fresh: World) -> None:
    fresh.env[system.VARIABLE] = system.PORTABLE
    project = fresh.project("portable", LIGHT)
    (project / "note").write_text("from the host\n")
    fresh.run("up", "--wait=agent", cwd=project, timeout=1200)
    status = fresh.json("status", cwd=project)
    assert status["confinement"]["in_force"] == [], "a cage is promised that is not there"
    mounted = fresh.run("exec", "--", "cat", "note", cwd=project, timeout=300)
    assert mounted.stdout == b"from the host\n"
    fresh.run("stop", cwd=project)
    assert fresh.json("status", cwd=project)["state"] == "stopped"
