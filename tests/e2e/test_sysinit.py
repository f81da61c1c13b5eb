"""The project workflow of ``sysinit-vm`` with real VMs, from init to destroy."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.e2e.world import SHORT_BOOT, World

#: Less than the template's machine, for the sake of the machine that runs the tests.
SMALL = f"cpus: 1\nmemory: 512MiB\nvmOpts: {{gaovm: {{{SHORT_BOOT}}}}}\n"
#: Says the project's name to everybody, on the port that the template forwards.
SERVER = r"""
use IO::Socket::INET; $|=1;
$s=IO::Socket::INET->new(LocalAddr=>"127.0.0.1",LocalPort=>5173,Listen=>9,ReuseAddr=>1) or die;
print "listening\n";
while($c=$s->accept){syswrite($c,"I am $ENV{PROJECT_NAME}");close $c}
"""

Run = Callable[..., str]


@pytest.fixture
def run(world: World) -> Run:
    """Run ``sysinit-vm`` in a directory; the value is its standard output."""
    sysinit = replace(world, command=[str(Path(sys.executable).with_name("sysinit-vm"))])

    def run(*words: str, cwd: Path, stdin: str = "", check: int = 0) -> str:
        done: subprocess.CompletedProcess[bytes] = sysinit.run(
            *words, cwd=cwd, stdin=stdin.encode(), check=check, timeout=600
        )
        return done.stdout.decode()

    return run


def test_the_project_workflow(world: World, run: Run) -> None:
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


def host_port(world: World, project: Path, guest_port: int = 5173) -> int:
    """Return the host port that leads to a server of the guest; it may come after the server."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        for port in world.json("port", "ls", cwd=project)["ports"]:
            if port["guest_port"] == guest_port and port["host_port"]:
                return int(port["host_port"])
        time.sleep(0.1)
    raise AssertionError(world.json("port", "ls", cwd=project))


def ask(port: int) -> str:
    """Return what a server on this machine says."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as conn:
        return conn.makefile().read()


def test_three_projects_at_once(world: World, run: Run) -> None:
    """Own names, sessions, files and ports; one that is destroyed leaves the others as they are."""
    projects = [world.home.parent / "projects" / f"multi-test-{n}" for n in (1, 2, 3)]
    servers = []
    for project in projects:
        project.mkdir(parents=True)
        assert f"VM name: {project.name}-dev" in run("init", "minimal", cwd=project)
        config = project / ".lima" / "config.yaml"
        config.write_text(config.read_text() + SMALL)
        run("start", cwd=project)
    for project in projects:
        assert run("status", cwd=project).splitlines()[1].split()[1] == "Running"
        look = 'hostname; echo "$ZELLIJ_SESSION"; pwd; echo mine > file; ls'
        seen = run("exec", look, cwd=project).split()
        assert seen == [f"{project.name}-dev", project.name, str(project), "file"]
        server = world.start("exec", "--", "perl", "-e", SERVER, cwd=project)
        assert server.stdout is not None and server.stdout.readline() == b"listening\n"
        servers.append(server)
    ports = [host_port(world, project) for project in projects]
    assert len(set(ports)) == 3
    assert [ask(port) for port in ports] == [f"I am {project.name}" for project in projects]
    run("destroy", cwd=projects[1], stdin="y\n")
    assert "VM not found" in run("status", cwd=projects[1])
    for index in (0, 2):
        assert ask(ports[index]) == f"I am {projects[index].name}"
        assert run("exec", "cat file", cwd=projects[index]) == "mine\n"
        run("destroy", cwd=projects[index], stdin="y\n")
    for server in servers:
        server.communicate(timeout=60)
