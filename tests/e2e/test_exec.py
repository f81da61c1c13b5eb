"""exec: streams, statuses, signals; and which user a command runs as in the guest."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
from pathlib import Path

from tests.e2e.world import World


def test_streams_are_separate_and_binary_clean(world: World, vm: Path) -> None:
    data = os.urandom(1 << 20)
    done = world.run("exec", "--", "sh", "-c", "echo err >&2; exec cat", cwd=vm, stdin=data)
    assert done.stdout == data
    assert done.stderr == b"err\n"


def test_exit_status_and_signal(world: World, vm: Path) -> None:
    world.run("exec", "--", "sh", "-c", "exit 42", cwd=vm, check=42)
    world.run("exec", "--", "sh", "-c", "kill -TERM $$", cwd=vm, check=128 + 15)


def test_not_found_and_not_executable(world: World, vm: Path) -> None:
    missing = world.run("exec", "--", "no-such-program", cwd=vm, check=127)
    assert b"no-such-program" in missing.stderr
    world.run("exec", "--", "/etc/passwd", cwd=vm, check=126)


def test_signals_are_forwarded(world: World, vm: Path) -> None:
    script = "trap 'echo got; exit 7' TERM; echo ready; while :; do sleep 0.1; done"
    child = world.start("exec", "--", "sh", "-c", script, cwd=vm)
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    child.send_signal(signal.SIGTERM)
    out, _ = child.communicate(timeout=30)
    assert (out, child.returncode) == (b"got\n", 7)


def test_a_command_that_ends_early_does_not_wait_for_stdin(world: World, vm: Path) -> None:
    read, write = os.pipe()
    try:
        with world.start("exec", "--", "true", cwd=vm, stdin=read) as child:
            assert child.wait(30) == 0
    finally:
        os.close(read)
        os.close(write)


def test_reader_that_goes_away_ends_the_command(world: World, vm: Path) -> None:
    line = " ".join(map(repr, [*world.command, "exec", "--", "yes"])) + " | head -c 100000 | wc -c"
    done = subprocess.run(
        ["bash", "-c", line], cwd=vm, env=world.environment(), capture_output=True, timeout=60
    )
    assert done.stdout.strip() == b"100000"
    left = world.run("exec", "--", "pgrep", "-x", "yes", cwd=vm, check=None)
    assert left.returncode == 1, "yes still runs in the guest"


def test_user_directory_and_environment(world: World, vm: Path) -> None:
    caller = pwd.getpwuid(os.getuid())
    out = world.run("exec", "--", "sh", "-c", "id -un; id -u; pwd", cwd=vm).stdout.decode()
    assert out.split() == [caller.pw_name, str(caller.pw_uid), str(vm)]
    out = world.run("exec", "--name", "shared-dev", "--", "pwd", cwd=Path("/")).stdout.decode()
    assert out.strip() == ("/root" if caller.pw_uid == 0 else f"/home/{caller.pw_name}.guest")
    out = world.run("exec", "--user", "nobody", "--", "id", "-un", cwd=vm).stdout.decode()
    assert out.strip() == "nobody"


def test_project_directory_is_mounted_writable(world: World, vm: Path) -> None:
    world.run("exec", "--", "tee", "a.txt", cwd=vm, stdin=b"hi\n")
    assert (vm / "a.txt").read_bytes() == b"hi\n"
    assert (vm / "a.txt").stat().st_uid == os.getuid()
    (vm / "b.txt").write_text("from the host")
    out = world.run("exec", "--", "sh", "-c", "cat b.txt; stat -c %u b.txt", cwd=vm).stdout
    assert out.decode() == f"from the host{os.getuid()}\n"


def test_misspelt_name_creates_nothing(world: World, vm: Path) -> None:
    done = world.run("exec", "--name", "shared-dve", "--", "true", cwd=vm, check=125)
    assert b"shared-dve" in done.stderr
    assert b"shared-dev" in done.stderr, "no suggestion"
    assert [v["name"] for v in world.json("ls")["vms"]].count("shared-dve") == 0


def test_outbound_network_and_names(world: World, vm: Path) -> None:
    script = (
        "set -e; host=$(grep -hEo 'https?://[^/ ]+' /etc/apt/sources.list "
        "/etc/apt/sources.list.d/* 2>/dev/null | head -n1 | sed 's,.*//,,'); "
        'getent hosts "$host" >/dev/null; ip route show default | grep -q 10.0.2.2'
    )
    world.run("exec", "--", "sh", "-c", script, cwd=vm)


def test_a_guest_that_stands_still_is_named_and_left(world: World, vm: Path) -> None:
    pid = world.json("status", cwd=vm)["hypervisor_pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        child = world.start("exec", "--", "true", cwd=vm)
        assert child.stderr is not None
        assert f"its hypervisor was stopped (kill -CONT {pid})" in child.stderr.readline().decode()
        child.terminate()
        _, rest = child.communicate(timeout=30)
        assert (child.returncode, rest.endswith(b"(left)\n")) == (128 + signal.SIGTERM, True)
    finally:
        os.kill(pid, signal.SIGCONT)
    world.run("exec", "--", "true", cwd=vm)
