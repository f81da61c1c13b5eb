"""A user without root builds an image, boots it, and works in it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.world import CONFIG, PlainUser


@pytest.fixture
def plain() -> Iterator[PlainUser]:
    user = PlainUser.create(f"gaovm-e2e-{os.getpid()}")  # a run beside this one has another
    try:
        yield user
    finally:
        user.remove()


@pytest.mark.timeout(1500)
def test_plain_user_builds_ups_and_execs(plain: PlainUser) -> None:
    world = plain.install()
    project = plain.home / "projects" / "mine"
    (project / ".lima").mkdir(parents=True)
    (project / ".lima" / "config.yaml").write_text(CONFIG)
    subprocess.run(["chown", "-R", f"{plain.uid}:{plain.gid}", str(project.parent)], check=True)
    try:
        world.run("up", cwd=project, timeout=1200)
        script = "id -un; id -u; pwd; sudo -n id -u; touch from-guest; sudo touch from-root"
        out = world.run("exec", "--", "sh", "-c", script, cwd=project).stdout.decode().split()
        assert out == [plain.name, str(plain.uid), str(project), "0"]
        assert (project / "from-guest").stat().st_uid == plain.uid
        assert (project / "from-root").exists()
        (project / "from-host").write_text("x")
        (project / "from-host").chmod(0o600)
        subprocess.run(["chown", plain.name, str(project / "from-host")], check=True)
        assert world.run("exec", "--", "cat", "from-host", cwd=project).stdout == b"x"
        home = world.run(
            "exec", "--name", "mine-dev", "--", "sh", "-c", "pwd", cwd=Path("/")
        ).stdout.decode()
        assert home.strip() == f"/home/{plain.name}.guest"
        script = 'stat -c "%a %u" $XDG_RUNTIME_DIR; systemctl --user is-system-running'
        seat = world.run("exec", "--", "sh", "-c", script, cwd=project).stdout.decode()
        assert seat == f"700 {plain.uid}\nrunning\n"
        mounts = world.json("status", cwd=project)["mounts"]
        assert mounts[0]["type"] == "9p", "the C virtiofsd needs root"
        held = set(world.json("status", cwd=project)["confinement"]["in_force"])
        assert {"user namespace", "empty root", "no network", "no capabilities"} <= held
        world.run("destroy", "-y", cwd=project)
    finally:
        world.stop()
