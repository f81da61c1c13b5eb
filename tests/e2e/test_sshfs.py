"""Mounts by SSHFS: the guest's sshfs over the agent's channel, a confined server on the host."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.e2e.world import CONFIG, SHORT_BOOT, World

MOUNTS = f"""\
mountType: reverse-sshfs
mounts:
  - location: "."
    writable: true
  - location: "../sshfs-read-only"
vmOpts: {{gaovm: {{{SHORT_BOOT}}}}}
"""


def test_a_project_by_sshfs(world: World) -> None:
    project = world.project("sshfs", CONFIG + MOUNTS)
    other = project.parent / "sshfs-read-only"
    other.mkdir()
    (other / "seen").write_text("seen")
    (project / "outside").symlink_to("/etc/hostname")
    done = world.run("up", "--yes", cwd=project, check=None, timeout=900)
    try:
        if b"has no sshfs" in done.stderr:
            pytest.skip("the guest reaches no package server, so it has no sshfs")
        assert done.returncode == 0, done.stderr
        assert {m["type"] for m in world.json("status", cwd=project)["mounts"]} == {"reverse-sshfs"}
        check_files(world, project, other)
        # the relay ends with the agent's connection; the next one mounts again
        world.run("restart", cwd=project, timeout=900)
        out = world.run("exec", "--", "cat", "by-host", cwd=project).stdout
        assert out == b"2"
    finally:
        world.run("destroy", "-y", cwd=project)


def check_files(world: World, project: Path, other: Path) -> None:
    (project / "by-host").write_text("1")
    script = "set -e; cat by-host; echo 2 > by-guest; mkdir -p a/b; cp /bin/true a/b/; sync"
    assert world.run("exec", "--", "sh", "-c", script, cwd=project).stdout == b"1"
    assert (project / "by-guest").read_text() == "2\n"
    assert (project / "a" / "b" / "true").stat().st_size > 0
    (project / "by-host").write_text("2")
    assert world.run("exec", "--", "cat", "by-host", cwd=project).stdout == b"2"
    shutil.copy("/bin/true", project / "program")
    world.run("exec", "--", "./program", cwd=project)  # a program on the mount itself
    assert world.run("exec", "--", "cat", str(other / "seen"), cwd=project).stdout == b"seen"
    done = world.run("exec", "--", "touch", str(other / "new"), cwd=project, check=1)
    assert b"ead-only" in done.stderr
    # the guest follows the link in its own files, and never in the host's
    own = world.run("exec", "--", "cat", "/etc/hostname", cwd=project).stdout
    assert world.run("exec", "--", "cat", "outside", cwd=project).stdout == own
