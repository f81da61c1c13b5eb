"""``sysinit-vm`` as a command of its own: its words and exit codes, with a fake daemon."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.process.cli import fakes
from tests.process.cli.sysinit import VECTORS, Sysinit, directory
from tests.process.cli.test_imports import FORBIDDEN

from gaovm import errors
from gaovm.cli.sysinit import main

PROBE = """
import json, sys
before = set(sys.modules)
from gaovm.cli.sysinit import main
code = main.run(json.loads(sys.argv[1]))
loaded = sorted(set(sys.modules) - before)
json.dump({"code": code, "loaded": loaded}, open(sys.argv[2], "w"))
"""
STATUS_LINE = "web-dev  Running  x86_64  2     2.0 GiB  20.0 GiB  4080->80"


def never_made(params: dict[str, Any], call: fakes.Call) -> Any:
    raise errors.VmNotFound("there is no VM")


def runs(daemon: fakes.FakeDaemon, **changes: Any) -> None:
    """Let the daemon have the project's VM."""
    web = fakes.vm("web-dev", **changes)
    daemon.handlers["vm.status"] = lambda params, call: web


def comes_up(daemon: fakes.FakeDaemon) -> None:
    """Let ``vm.up`` make the VM, which there was not before."""
    daemon.handlers["vm.status"] = never_made

    def up(params: dict[str, Any], call: fakes.Call) -> Any:
        runs(daemon)
        return {"vm": fakes.vm("web-dev"), "created": True, "warnings": ["a: has no effect"]}

    daemon.handlers["vm.up"] = up


@pytest.mark.parametrize("words", [[], ["help"], ["--help"], ["-h"], ["start", "--help"]])
def test_help_works_everywhere_and_shows_every_verb(sysinit: Sysinit, words: list[str]) -> None:
    done = sysinit(*words, cwd=Path("/"))
    assert done.returncode == 0
    text = done.stdout.decode()
    assert "Usage: sysinit-vm <command>" in text
    for verb in (*main.VERBS, "help"):
        assert f"\n  {verb} " in text
    assert "VM_NAME" in text


def test_an_unknown_command_fails(sysinit: Sysinit) -> None:
    done = sysinit("invalid-command")
    assert (done.returncode, done.stdout) == (1, b"")
    said = b"[ERROR] Unknown command: invalid-command. Try 'sysinit-vm help'\n"
    assert done.stderr == said
    assert sysinit("start", "now").returncode == 1


def test_start_without_a_config_fails(sysinit: Sysinit, tmp_path: Path) -> None:
    want = VECTORS["commands"]["start"]["else"]
    done = sysinit("start", cwd=directory(tmp_path, "bare"))
    assert want == f"exit {done.returncode}, {done.stderr.decode().strip()}"


def test_start_makes_the_vm_from_any_subdirectory(
    sysinit: Sysinit, daemon: fakes.FakeDaemon
) -> None:
    comes_up(daemon)
    below = sysinit.project / "src" / "deep"
    below.mkdir(parents=True)
    done = sysinit("start", cwd=below)
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode().splitlines() == [
        "[INFO] Starting VM: web-dev",
        "[WARN] a: has no effect",
        "[INFO]   port 127.0.0.1:4080 -> 127.0.0.1:80 in the VM",
        "[INFO] VM started. Connect with: sysinit-vm shell",
    ]
    params = daemon.params("vm.up")
    assert params["project_dir"] == str(sysinit.project)


def test_start_of_a_vm_that_exists_is_the_same_call(
    sysinit: Sysinit, daemon: fakes.FakeDaemon
) -> None:
    runs(daemon, state="stopped")
    done = {"vm": fakes.vm("web-dev"), "created": False, "warnings": []}
    daemon.handlers["vm.up"] = lambda params, call: done
    assert sysinit("start").returncode == 0


def test_a_name_in_the_environment_goes_along(sysinit: Sysinit, daemon: fakes.FakeDaemon) -> None:
    comes_up(daemon)
    sysinit("start", env={"VM_NAME": "other"})
    assert daemon.params("vm.up")["env_name"] == "other"
    assert daemon.params("vm.status")["name"] == "other"


def test_stop(sysinit: Sysinit, daemon: fakes.FakeDaemon) -> None:
    runs(daemon)
    daemon.handlers["vm.stop"] = lambda params, call: fakes.vm("web-dev", state="stopped")
    done = sysinit("stop")
    assert (done.returncode, done.stdout) == (0, b"[INFO] Stopping VM: web-dev\n")
    assert daemon.params("vm.stop") == {"name": "web-dev"}
    daemon.handlers["vm.status"] = never_made
    done = sysinit("stop")
    assert (done.returncode, done.stderr) == (1, b"[ERROR] VM not found: web-dev\n")


@pytest.mark.parametrize("verb", ["status", "st"])
def test_status_shows_the_head_and_the_vm(
    sysinit: Sysinit, daemon: fakes.FakeDaemon, verb: str
) -> None:
    """The daemon finds the one VM of the directory: web-dev2 never shows for web-dev."""
    runs(daemon)
    done = sysinit(verb)
    head, line = done.stdout.decode().splitlines()
    assert head.split() == ["NAME", "STATUS", "ARCH", "CPUS", "MEMORY", "DISK", "PORTS", "DIR"]
    assert line.split() == [*STATUS_LINE.split(), "/projects/web-dev"]
    assert daemon.params("vm.status") == {"name": "web-dev", "of_project": str(sysinit.project)}


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({"state": "stopped"}, "Stopped"),
        ({"state": "degraded"}, "Running"),
        ({"state": "failed"}, "Broken"),
        ({"state": "first-up-failed"}, "Broken"),
        ({"state": "starting"}, "Starting"),
        ({"paused": True}, "Paused"),
    ],
)
def test_status_has_limas_words(
    sysinit: Sysinit, daemon: fakes.FakeDaemon, changes: dict[str, Any], shown: str
) -> None:
    runs(daemon, **changes)
    assert sysinit("status").stdout.decode().splitlines()[1].split()[1] == shown


def test_status_of_no_vm_warns_and_is_no_failure(
    sysinit: Sysinit, daemon: fakes.FakeDaemon, tmp_path: Path
) -> None:
    daemon.handlers["vm.status"] = never_made
    done = sysinit("status")
    assert (done.returncode, done.stdout) == (0, b"[WARN] VM not found: web-dev\n")
    done = sysinit("status", cwd=directory(tmp_path, "bare"))
    assert (done.returncode, done.stdout) == (0, b"[WARN] VM not found: bare-dev\n")


@pytest.mark.parametrize(
    ("answer", "code", "removed"),
    [(b"y\n", 0, True), (b"n\n", 0, False), (b"\n", 0, False), (b"", 1, False)],
)
@pytest.mark.parametrize("verb", ["destroy", "rm"])
def test_destroy_asks(
    sysinit: Sysinit, daemon: fakes.FakeDaemon, verb: str, answer: bytes, code: int, removed: bool
) -> None:
    runs(daemon, state="failed")
    daemon.handlers["vm.destroy"] = lambda params, call: {"name": "web-dev", "freed_bytes": 1}
    done = sysinit(verb, stdin=answer)
    assert done.returncode == code
    assert b"[WARN] This will permanently delete VM: web-dev\n" in done.stdout
    assert b"Are you sure? (y/N) " in done.stderr
    assert (b"[INFO] VM destroyed: web-dev" in done.stdout) == removed
    assert ("vm.destroy" in [method for method, _ in daemon.calls]) == removed


def test_destroy_finds_the_vm_of_a_directory_that_lost_its_config(
    sysinit: Sysinit, daemon: fakes.FakeDaemon
) -> None:
    runs(daemon)
    daemon.handlers["vm.destroy"] = lambda params, call: {"name": "web-dev", "freed_bytes": 1}
    (sysinit.project / ".lima" / "config.yaml").unlink()
    assert sysinit("destroy", stdin=b"y\n").returncode == 0
    assert daemon.params("vm.status")["of_project"] == str(sysinit.project)


def test_exec_runs_one_string_as_a_command_line(
    sysinit: Sysinit, daemon: fakes.FakeDaemon, driver: fakes.FakeDriver
) -> None:
    runs(daemon)
    done = sysinit("exec", "echo test; echo $((1 + 1)) >&2; exit 7")
    assert (done.returncode, done.stdout, done.stderr) == (7, b"test\n", b"2\n")


def test_exec_takes_words_as_they_are(
    sysinit: Sysinit, daemon: fakes.FakeDaemon, driver: fakes.FakeDriver
) -> None:
    runs(daemon)
    done = sysinit("exec", "printf", "%s.", "a b", "$HOME", "-x")
    assert (done.returncode, done.stdout) == (0, b"a b.$HOME.-x.")
    assert sysinit("exec", "--", "cat", "-", stdin=b"\0in").stdout == b"\0in"


def test_exec_follows_the_working_directory(
    sysinit: Sysinit, daemon: fakes.FakeDaemon, driver: fakes.FakeDriver
) -> None:
    runs(daemon)
    below = sysinit.project / "src"
    below.mkdir()
    assert sysinit("exec", "true", cwd=below).returncode == 0
    assert driver.started[0]["cwd"] == "/srv/web/src"
    assert driver.started[0]["login"] is True


def test_exec_without_a_command_or_a_running_vm_fails(
    sysinit: Sysinit, daemon: fakes.FakeDaemon
) -> None:
    done = sysinit("exec")
    assert (done.returncode, done.stderr) == (1, b"[ERROR] Usage: sysinit-vm exec <command>\n")
    not_running = b"[ERROR] VM not running. Start with 'sysinit-vm start'\n"
    runs(daemon, state="stopped")
    done = sysinit("exec", "true")
    assert (done.returncode, done.stderr) == (1, not_running)
    daemon.handlers["vm.status"] = never_made
    done = sysinit("exec", "true")
    assert (done.returncode, done.stderr) == (1, not_running)


@pytest.mark.parametrize("verb", ["shell", "sh"])
def test_shell_starts_a_vm_that_does_not_run(
    sysinit: Sysinit, daemon: fakes.FakeDaemon, driver: fakes.FakeDriver, verb: str
) -> None:
    assert VECTORS["commands"]["shell | sh"]["starts_when_not_running"]
    comes_up(daemon)
    done = sysinit(verb, stdin=b"echo here; exit 3\n")
    assert done.returncode == 3
    assert done.stdout.decode().splitlines() == [
        "[WARN] VM not running. Starting...",
        "[INFO] Starting VM: web-dev",
        "[WARN] a: has no effect",
        "[INFO]   port 127.0.0.1:4080 -> 127.0.0.1:80 in the VM",
        "[INFO] Connecting to web-dev (Zellij will auto-attach)...",
        "here",
    ]


def test_shell_of_a_running_vm_starts_nothing(
    sysinit: Sysinit, daemon: fakes.FakeDaemon, driver: fakes.FakeDriver
) -> None:
    runs(daemon)
    done = sysinit("shell", stdin=b"exit\n")
    assert b"Starting" not in done.stdout
    assert driver.started[0]["argv"] == []  # no terminal, so no session to attach to


def program(folder: Path, name: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


def seen_by_guest(driver: fakes.FakeDriver, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Put a folder of programs before those of the fake guest, which is a child of this process."""
    folder.mkdir(exist_ok=True)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


@pytest.mark.parametrize(
    ("verb", "before", "after"),
    [
        ("sync", "Syncing home-manager config to VM...", "Config synced"),
        ("rebuild", "Rebuilding NixOS system in VM...", "Rebuild complete"),
    ],
)
def test_sync_and_rebuild_run_the_flake_commands(
    sysinit: Sysinit,
    daemon: fakes.FakeDaemon,
    driver: fakes.FakeDriver,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    verb: str,
    before: str,
    after: str,
) -> None:
    runs(daemon)
    folder = tmp_path / "bin"
    seen_by_guest(driver, monkeypatch, folder)
    program(folder, "sudo", 'exec "$@"')
    for name in ("home-manager", "nixos-rebuild"):
        program(folder, name, f'echo {name} "$@"')
    done = sysinit(verb)
    assert done.returncode == 0, done.stderr
    ran = " ".join(VECTORS["commands"]["sync"]["runs"][3:])
    if verb == "rebuild":
        ran = ran.replace("home-manager", "nixos-rebuild")
    assert done.stdout.decode().splitlines() == [f"[INFO] {before}", ran, f"[INFO] {after}"]


@pytest.mark.parametrize(
    ("verb", "lacks"), [("sync", "home-manager"), ("rebuild", "nixos-rebuild")]
)
def test_a_guest_without_the_program_is_told_plainly(
    sysinit: Sysinit, daemon: fakes.FakeDaemon, driver: fakes.FakeDriver, verb: str, lacks: str
) -> None:
    runs(daemon)
    done = sysinit(verb)
    assert done.returncode == 1
    assert f"[ERROR] The VM has no {lacks}, so `sysinit-vm {verb}`" in done.stderr.decode()
    assert f"set vmOpts.gaovm.{verb} in .lima/config.yaml" in done.stderr.decode()


def test_sync_runs_what_the_config_says(
    sysinit: Sysinit, daemon: fakes.FakeDaemon, driver: fakes.FakeDriver
) -> None:
    runs(daemon)
    config = sysinit.project / ".lima" / "config.yaml"
    (sysinit.project / ".lima" / "own.yaml").write_text(
        'vmOpts: {gaovm: {sync: "echo of the base"}}\n'
    )
    config.write_text(config.read_text() + 'base: "own.yaml"\n')
    assert b"\nof the base\n" in sysinit("sync").stdout
    config.write_text(config.read_text() + 'vmOpts: {gaovm: {sync: "echo mine; exit 4"}}\n')
    done = sysinit("sync")
    assert (done.returncode, b"\nmine\n" in done.stdout) == (4, True)
    assert done.stderr == b"[ERROR] `echo mine; exit 4` ended with 4\n"
    assert sysinit("sync", env={"VM_NAME": "x"}, cwd=sysinit.home).returncode == 1


@pytest.mark.parametrize("words", [["status"], ["exec", "true"], ["start"], ["stop"]], ids=" ".join)
def test_a_hot_verb_loads_nothing_slow(
    sysinit: Sysinit, daemon: fakes.FakeDaemon, driver: fakes.FakeDriver, words: list[str]
) -> None:
    runs(daemon)
    web = fakes.vm("web-dev")
    daemon.handlers["vm.up"] = lambda params, call: {"vm": web, "already": True, "warnings": []}
    daemon.handlers["vm.stop"] = lambda params, call: web
    result = sysinit.home / "loaded.json"
    subprocess.run(
        [sys.executable, "-S", "-c", PROBE, json.dumps(words), str(result)],
        cwd=sysinit.project,
        env=sysinit.environment,
        capture_output=True,
        check=True,
        timeout=30,
    )
    found: dict[str, Any] = json.loads(result.read_text())
    assert found["code"] == 0
    assert {name for name in found["loaded"] if name in FORBIDDEN} == set()
    assert len(found["loaded"]) <= 75, found["loaded"]
