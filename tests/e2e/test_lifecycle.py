"""The main workflow from init to destroy, and what status says on the way."""

from __future__ import annotations

import json
from pathlib import Path

from tests.e2e.world import CONFIG, World


def test_init_up_stop_up_destroy(world: World) -> None:
    project = world.home.parent / "projects" / "My App"
    project.mkdir(parents=True)
    world.run("init", "minimal", cwd=project)
    config = project / ".lima" / "config.yaml"
    text = config.read_text()
    text = text.replace("cpus: 2", "cpus: 1").replace("memory: 2GiB", "memory: 512MiB")
    config.write_text(text)
    assert (project / ".lima" / ".gitignore").exists()
    done = world.run("up", cwd=project, timeout=1200)
    status = world.json("status", cwd=project)
    assert status["name"] == "my-app-dev", done.stdout
    assert (status["state"], status["readiness"]) == ("running", "ready")
    assert status["accelerator"]["reason"]
    script = "echo kept > /var/tmp/kept; echo early > /tmp/early"
    world.run("exec", "--", "sh", "-c", script, cwd=project)
    wait = "systemctl is-system-running --wait >&2; cat /tmp/early"
    assert world.run("exec", "--", "sh", "-c", wait, cwd=project).stdout == b"early\n"
    assert b"already" in world.run("up", cwd=project).stdout.lower()
    world.run("stop", cwd=project)
    assert world.json("status", cwd=project)["state"] == "stopped"
    done = world.run("exec", "--", "true", cwd=project, check=125)
    assert b"gaovm up" in done.stderr
    world.run("up", "--wait=agent", cwd=project)
    assert world.run("exec", "--", "cat", "/var/tmp/kept", cwd=project).stdout == b"kept\n"
    world.run("destroy", "-y", cwd=project)
    assert "my-app-dev" not in [v["name"] for v in world.json("ls")["vms"]]
    assert not (world.home / "vms" / "my-app-dev").exists()


def test_three_projects_at_once(world: World, vm: Path) -> None:
    names = ["one", "two"]
    projects = [world.project(n) for n in names]
    ups = [world.start("up", "--wait=agent", cwd=p) for p in projects]
    for up in ups:
        out, err = up.communicate(timeout=600)
        assert up.returncode == 0, out + err
    running = {v["name"] for v in world.json("ls")["vms"] if v["state"] == "running"}
    assert {"shared-dev", "one-dev", "two-dev"} <= running
    for name, project in zip(names, projects, strict=True):
        host = world.run("exec", "--", "hostname", cwd=project).stdout.decode()
        assert name in host
    for project in projects:
        world.run("destroy", "-y", cwd=project)
    world.run("exec", "--", "true", cwd=vm)


def test_name_of_another_project_and_long_name(world: World, vm: Path) -> None:
    other = world.project("other")
    done = world.run("up", "--name", "shared-dev", cwd=other, check=2)
    assert str(vm).encode() in done.stderr
    assert b"--name" in done.stderr
    name = "n" * 76
    world.run("up", "--wait=agent", "--name", name, cwd=other)
    world.run("exec", "--name", name, "--", "true", cwd=other)
    world.run("destroy", "-y", name)


def test_explain_is_the_running_command_line(world: World, vm: Path) -> None:
    status = world.json("status", cwd=vm)
    raw = Path(f"/proc/{status['hypervisor_pid']}/cmdline").read_bytes()
    running = raw.decode().split("\0")[:-1]
    shown = json.loads(world.run("explain", "--json", cwd=vm).stdout)["argv"]
    assert len(shown) == len(running)
    for want, got in zip(shown, running, strict=True):
        before, found, rest = want.partition("<fd:")
        if found:
            after = rest.partition(">")[2]
            assert got.startswith(before)
            assert got.endswith(after)
        else:
            assert got == want


def test_ls_and_logs(world: World, vm: Path) -> None:
    table = world.run("ls").stdout.decode()
    assert "shared-dev" in table
    assert "running" in table
    assert world.run("logs", "--serial", cwd=vm).stderr == b""
    assert world.run("logs", "--daemon", cwd=vm).stdout
    assert world.run("logs", "--driver", cwd=vm).returncode == 0
    lines = world.run("logs", "--json", cwd=vm).stdout.splitlines()
    found = [json.loads(line) for line in lines]
    # The guest's clock is set while its agent already writes lines, so those may go back a little.
    ours = [line["ts"] for line in found if line.get("logger") != "agent"]
    assert ours == sorted(ours)
    assert len(ours) < len(found)
    assert {line["source"] for line in found} >= {"daemon", "driver"}
    assert {line["vm"] for line in found} == {"shared-dev"}


def test_the_log_level_changes_at_once(world: World, vm: Path) -> None:
    assert world.run("log-level", "debug", cwd=vm).stdout == b"VM shared-dev: debug\n"
    world.run("exec", "--", "true", cwd=vm)
    world.run("log-level", "info", cwd=vm)
    assert b"session: exec" in world.run("logs", "--driver", "-n", "9", cwd=vm).stdout


def test_disk_grows_and_never_shrinks(world: World) -> None:
    project = world.project("disk")
    world.run("up", "--wait=agent", cwd=project)
    first = world.run("exec", "--", "df", "-B1", "--output=size", "/", cwd=project).stdout.split()
    assert int(first[1]) > 3 << 30
    world.run("stop", cwd=project)
    world.project("disk", CONFIG.replace("4GiB", "6GiB"))
    world.run("up", "--wait=agent", cwd=project)
    second = world.run("exec", "--", "df", "-B1", "--output=size", "/", cwd=project).stdout.split()
    assert int(second[1]) > 5 << 30
    world.run("stop", cwd=project)
    world.project("disk", CONFIG)
    done = world.run("up", cwd=project, check=2)
    assert b"disk" in done.stderr
    world.run("destroy", "-y", cwd=project)


def test_status_shows_what_a_vm_takes(world: World, vm: Path) -> None:
    usage = world.json("status", cwd=vm)["usage"]
    assert usage["processes"] >= 2
    assert 128 << 20 < usage["memory_bytes"] < 4 << 30
    assert usage["disk_bytes"] > 1 << 20
    assert b"takes        " in world.run("status", cwd=vm).stdout


def test_a_paused_vm_stays_so_over_an_upgrade(world: World, vm: Path) -> None:
    world.run("pause", cwd=vm)
    try:
        world.run("daemon", "upgrade", cwd=vm)
        assert json.loads(world.run("status", "--json", cwd=vm).stdout)["paused"] is True
        assert b"paused" in world.run("ls", cwd=vm).stdout
        assert b"is paused" in world.run("exec", "--", "true", cwd=vm, check=125).stderr
    finally:
        world.run("resume", cwd=vm)
    world.run("exec", "--", "true", cwd=vm)


def test_uninstall_leaves_nothing(fresh: World) -> None:
    project = fresh.project("gone")
    fresh.run("up", "--wait=agent", cwd=project)
    fresh.run("uninstall", "--yes", cwd=project)
    assert not fresh.home.exists()
    fresh.assert_nothing_runs()
    assert (project / ".lima" / "config.yaml").exists()
    fresh.home.mkdir(mode=0o700)  # the check that nothing runs needs it
