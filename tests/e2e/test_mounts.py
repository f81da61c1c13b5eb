"""Both kinds of mount, forced in turn; ownership both ways; a root and a plain user."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from tests.e2e.world import CONFIG, World

MOUNTS = """\
mountType: "{kind}"
mounts:
  - location: "{project}"
    writable: true
  - location: "{extra}"
    mountPoint: /mnt/extra
vmOpts: {{gaovm: {{machine: {machine}}}}}
"""


@pytest.mark.parametrize(
    ("kind", "machine"), [("9p", "q35"), ("virtiofs", "q35"), ("virtiofs", "microvm")]
)
def test_each_kind(world: World, tmp_path: Path, kind: str, machine: str) -> None:
    extra = tmp_path / "a, b \"c\" 'd'"
    extra.mkdir()
    (extra / "seen").write_text("seen")
    link = tmp_path / "l, i \"n\" 'k'"
    link.symlink_to(extra)
    project = world.home.parent / "projects" / f"mount-{kind}-{machine}"
    quoted = str(link).replace('"', '\\"')
    config = CONFIG + MOUNTS.format(kind=kind, project=project, extra=quoted, machine=machine)
    world.project(project.name, config)
    asked = world.run("up", "--wait=agent", cwd=project, check=2)  # it is outside the project
    assert f"mount {extra} (read-only)".encode() in asked.stderr
    world.run("up", "--wait=agent", "--yes", cwd=project)
    try:
        status = world.json("status", cwd=project)
        mounts = status["mounts"]
        assert status["machine"] == machine
        assert {m["type"] for m in mounts} == {kind}
        assert all(m["reason"] for m in mounts)
        check_ownership(world, project)
        out = world.run("exec", "--", "cat", "/mnt/extra/seen", cwd=project).stdout
        assert out == b"seen"
        done = world.run("exec", "--", "touch", "/mnt/extra/new", cwd=project, check=1)
        assert b"ead-only" in done.stderr
        if kind == "virtiofs":
            check_a_lost_server_is_told(world, project)
    finally:
        world.run("destroy", "-y", cwd=project)


def check_a_lost_server_is_told(world: World, project: Path) -> None:
    """A virtiofsd that is gone takes its mount with it: the VM is not ready any more."""
    servers = [
        pid
        for pid, line in world.processes().items()
        if "virtiofsd" in line and str(project) in line
    ]
    assert servers
    for pid in servers:
        os.kill(pid, signal.SIGKILL)
    end = time.monotonic() + 30
    while (status := world.json("status", cwd=project))["readiness"] != "degraded":
        assert time.monotonic() < end, status
        time.sleep(0.1)


def check_ownership(world: World, project: Path) -> None:
    """Files made on one side have the right owner on the other, for root and for a plain user."""
    script = "useradd -m -u 1777 worker 2>/dev/null; chmod 777 .; touch by-root"
    world.run("exec", "--user", "root", "--", "sh", "-c", script, cwd=project)
    world.run("exec", "--user", "worker", "--", "touch", "by-worker", cwd=project)
    assert (project / "by-root").stat().st_uid == 0
    assert (project / "by-worker").stat().st_uid == 1777
    (project / "host-root").write_text("")
    (project / "host-plain").write_text("")
    os.chown(project / "host-plain", 1777, 1777)
    names = "host-root host-plain by-root by-worker"
    out = world.run("exec", "--", "sh", "-c", f"stat -c %u {names}", cwd=project).stdout
    assert out.split() == [b"0", b"1777", b"0", b"1777"]
    world.run("exec", "--user", "worker", "--", "rm", "by-worker", cwd=project)
    assert not (project / "by-worker").exists()


def test_missing_mount_is_named_before_boot(world: World) -> None:
    config = CONFIG + 'mounts:\n  - location: "/no/such/place"\n'
    project = world.project("nomount", config)
    done = world.run("up", cwd=project, check=2)
    assert b"/no/such/place" in done.stderr
    assert b"mounts[0]" in done.stderr
    world.run("destroy", "-y", cwd=project, check=None)
