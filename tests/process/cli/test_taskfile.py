"""``Taskfile.yml`` with the real ``task``, ``gaovm init --taskfile``, and the programs of hack/."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import yaml
from tests.process.cli import conftest, fakes
from tests.process.cli.sysinit import MAIN, directory

ROOT = Path(__file__).parents[3]
#: What the test group of pyproject.toml installs, beside this interpreter.
TASK = shutil.which("task", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
LIMA = {"init", "start", "shell", "stop", "destroy", "build:dev", "build:minimal"}


class Tasks:
    """Runs ``task`` in a project that ``gaovm init --taskfile`` made, with ours on its PATH."""

    def __init__(self, gaovm: conftest.Gaovm, project: Path, tools: Path) -> None:
        self.gaovm = gaovm
        self.project = project
        for name, code in (
            ("sysinit-vm", MAIN),
            ("gaovm", "print('image', __import__('sys').argv)"),
        ):
            line = f'exec {shlex.quote(sys.executable)} -c {shlex.quote(code)} "$@"'
            (tools / name).write_text(f"#!/bin/sh\n{line}\n")
            (tools / name).chmod(0o755)
        self.path = f"{tools}:/usr/bin:/bin"

    def __call__(
        self, *words: str, stdin: bytes = b"", cwd: Path | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        assert TASK is not None, "task is not installed: run scripts/setup"
        return subprocess.run(
            [TASK, *words],
            input=stdin,
            capture_output=True,
            cwd=cwd or self.project,
            env={**self.gaovm.environment, "PATH": self.path},
            timeout=60,
            check=False,
        )


@pytest.fixture
def task(gaovm: conftest.Gaovm, project: Path, tmp_path: Path) -> Tasks:
    done = gaovm("init", "--taskfile")
    assert done.returncode == 0, done.stderr
    return Tasks(gaovm, project, directory(tmp_path, "tools"))


def test_a_project_with_a_config_gets_the_tasks_alone(gaovm: conftest.Gaovm) -> None:
    config = gaovm.project / ".lima" / "config.yaml"
    before = config.read_text()
    done = gaovm("init", "--taskfile")
    assert (done.returncode, b"wrote Taskfile.yml" in done.stdout) == (0, True)
    assert config.read_text() == before
    assert (gaovm.project / "Taskfile.yml").read_bytes() == (ROOT / "Taskfile.yml").read_bytes()
    assert b"has the tasks already" in gaovm("init", "--taskfile").stdout


def test_a_project_with_a_taskfile_keeps_it(gaovm: conftest.Gaovm, task: Tasks) -> None:
    own = gaovm.project / "Taskfile.yml"
    own.write_text('version: "3"\ntasks: {mine: {desc: m, cmds: ["echo mine"]}}\n')
    said = gaovm("init", "--taskfile").stdout.decode()
    assert yaml.safe_load(own.read_text())["tasks"].keys() == {"mine"}
    own.write_text(own.read_text() + textwrap.dedent(said.partition("Add to Taskfile.yml:\n")[2]))
    listed = task("--list-all").stdout.decode()
    assert "* mine:" in listed and "* lima:start:" in listed


def test_task_lists_the_commands(task: Tasks) -> None:
    listed = task("--list-all").stdout.decode()
    assert {line.split(": ")[0] for line in listed.split("* lima:")[1:]} == LIMA


def test_tasks_do_what_the_commands_do(task: Tasks, daemon: fakes.FakeDaemon) -> None:
    web = fakes.vm("web-dev")
    daemon.handlers.update(
        {
            "vm.status": lambda params, call: web,
            "vm.up": lambda params, call: {"vm": web, "created": True, "warnings": []},
            "vm.stop": lambda params, call: web,
            "vm.destroy": lambda params, call: {"name": "web-dev", "freed_bytes": 1},
        }
    )
    below = directory(task.project, "src")
    done = task("lima:start", cwd=below)
    assert b"[INFO] VM started. Connect with: sysinit-vm shell" in done.stdout, done.stderr
    assert b"[INFO] Stopping VM: web-dev" in task("lima:stop").stdout
    assert b"[INFO] VM destroyed: web-dev" in task("lima:destroy", stdin=b"y\n").stdout
    done = task("lima:destroy")
    assert done.returncode != 0
    called = [method for method, _ in daemon.calls]
    assert [called.count(name) for name in ("vm.up", "vm.stop", "vm.destroy")] == [1, 1, 1]


def test_task_init_and_shell(
    task: Tasks, daemon: fakes.FakeDaemon, driver: fakes.FakeDriver
) -> None:
    done = task("lima:init", "--", "minimal", stdin=b"y\n")
    assert b"[INFO] VM name: web-dev" in done.stdout, done.stderr
    assert "template:minimal" in (task.project / ".lima" / "config.yaml").read_text()
    daemon.handlers["vm.status"] = lambda params, call: fakes.vm("web-dev")
    assert b"\nhere\n" in task("lima:shell", stdin=b"echo here\n").stdout


def test_task_builds_images(task: Tasks) -> None:
    for name in ("lima:build:dev", "lima:build:minimal"):
        assert b"['-c', 'image', 'build', 'debian:12']" in task(name).stdout


def test_the_programs_of_hack_find_the_installed_ones(task: Tasks, tmp_path: Path) -> None:
    """Copies outside of a checkout: in one they run its own."""
    copies = directory(tmp_path, "hack")
    for name in ("sysinit-vm", "build-lima-image"):
        shutil.copy(ROOT / "hack" / name, copies)
        assert os.access(copies / name, os.X_OK)

    def run(*words: str, path: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [str(copies / words[0]), *words[1:]],
            env={**task.gaovm.environment, "PATH": path},
            capture_output=True,
            timeout=60,
            check=False,
        )

    assert b"Usage: sysinit-vm" in run("sysinit-vm", "help", path=task.path).stdout
    done = run("sysinit-vm", "help", path="/usr/bin:/bin")
    assert (done.returncode, b"gaovm is not installed" in done.stderr) == (1, True)
    done = run("build-lima-image", "lima-dev", "--force", path=task.path)
    assert b"['-c', 'image', 'build', 'debian:12', '--force']" in done.stdout
    done = run("build-lima-image", "lima-other", path=task.path)
    assert (done.returncode, b"Usage: build-lima-image" in done.stderr) == (1, True)
