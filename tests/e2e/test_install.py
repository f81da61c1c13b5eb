"""The wheel in a clean virtual environment is all of GaoVM: no Go, no checkout."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.e2e.world import ROOT, World, make_world

pytestmark = pytest.mark.timeout(900)


def run(*words: str | Path, **env: str) -> None:
    done = subprocess.run(
        list(map(str, words)),
        cwd=ROOT,
        env={**os.environ, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def locked_versions() -> str:
    """Return the lock file's versions without hashes: pip would want one for the wheel too."""
    return "\n".join(re.findall(r"^[\w.-]+==\S+", (ROOT / "requirements.lock").read_text(), re.M))


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the ``bin`` of an environment with the wheel and its dependencies."""
    base = tmp_path_factory.mktemp("install")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", base / "dist")
    [wheel] = (base / "dist").glob("*.whl")
    python = os.path.realpath(sys.executable)
    run(python, "-m", "venv", base / "venv")
    (base / "constraints.txt").write_text(locked_versions())
    pip = (base / "venv" / "bin" / "python", "-m", "pip", "install", "-q")
    run(*pip, "--disable-pip-version-check", "-c", base / "constraints.txt", wheel)
    return base / "venv" / "bin"


def test_up_from_an_installed_wheel(installed: Path, tmp_path: Path) -> None:
    traps, called = tmp_path / "traps", tmp_path / "called"
    traps.mkdir()
    for name in ("go", "gofmt"):
        (traps / name).write_text(f"#!/bin/sh\necho {name} >>{called}\nexit 1\n")
        (traps / name).chmod(0o755)
    path = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
    made = make_world(tmp_path)
    env = {"PATH": ":".join([str(installed), str(traps), *path])}
    world = World(made.home, [str(installed / "gaovm")], env)
    try:
        project = world.project("wheel")
        world.run("up", "--wait=agent", cwd=project)
        said = world.run("exec", "--", "uname", "-s", cwd=project).stdout
        assert said == b"Linux\n"
        status = world.json("status", cwd=project)
        command = Path(f"/proc/{status['driver_pid']}/cmdline").read_bytes().split(b"\0")
        assert command[0].startswith(str(installed).encode()), command
        world.run("destroy", "-y", cwd=project)
        sysinit = World(made.home, [str(installed / "sysinit-vm")], env)
        sysinit.run("init", cwd=tmp_path)
        world.run("template", "validate", ".lima/config.yaml", cwd=tmp_path)
    finally:
        world.stop()
    assert not called.exists(), "an installed GaoVM started Go"
