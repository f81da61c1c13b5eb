"""The project workflow of ``sysinit-vm`` with a real VM, from init to destroy."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from tests.e2e.world import SHORT_BOOT, World

#: Less than the template's machine, for the sake of the machine that runs the tests.
SMALL = f"cpus: 1\nmemory: 512MiB\nvmOpts: {{gaovm: {{{SHORT_BOOT}}}}}\n"


def test_the_project_workflow(world: World) -> None:
    sysinit = replace(world, command=[str(Path(sys.executable).with_name("sysinit-vm"))])

    def run(*words: str, cwd: Path, stdin: str = "", check: int = 0) -> str:
        done: subprocess.CompletedProcess[bytes] = sysinit.run(
            *words, cwd=cwd, stdin=stdin.encode(), check=check, timeout=600
        )
        return done.stdout.decode()

    project = world.home.parent / "projects" / "test-app1"
    source = project / "src"
    source.mkdir(parents=True)
    assert "VM name: test-app1-dev" in run("init", "dev", cwd=project)
    config = project / ".lima" / "config.yaml"
    assert "test-app1" in config.read_text()
    config.write_text(config.read_text() + SMALL)
    assert "VM started" in run("start", cwd=project)
    head, line = run("status", cwd=source).splitlines()
    assert head.startswith("NAME") and line.split()[:2] == ["test-app1-dev", "Running"]
    assert run("exec", "echo test", cwd=source) == "test\n"
    seen = run("exec", 'pwd; readlink ~/test-app1; echo "$ZELLIJ_SESSION"', cwd=source)
    assert seen.splitlines() == [str(source), str(project), "test-app1"]
    # what a detached session does: it outlives the command that began it
    assert "here" in run("shell", cwd=project, stdin="echo test > test-file.txt; echo here\n")
    assert (project / "test-file.txt").read_text() == "test\n"
    run("exec", "setsid -f sh -c 'echo $$ > kept; exec sleep 600' >/dev/null 2>&1", cwd=project)
    assert run("exec", 'read pid < kept; kill -0 "$pid" && echo lives', cwd=project) == "lives\n"
    run("sync", cwd=project, check=1)
    run("stop", cwd=project)
    assert run("status", cwd=project).splitlines()[1].split()[1] == "Stopped"
    run("exec", "true", cwd=project, check=1)
    assert "VM destroyed: test-app1-dev" in run("destroy", cwd=project, stdin="y\n")
    assert "VM not found: test-app1-dev" in run("status", cwd=project)
    assert not (world.home / "vms" / "test-app1-dev").exists()
