"""A user's bad input and faults: a clear error, and nothing half done."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from pathlib import Path

import pytest
from tests.e2e.world import CONFIG, World

BAD_CONFIGS = {
    "wrong-type": (CONFIG.replace("cpus: 1", "cpus: many"), "cpus"),
    "unknown-field": (CONFIG + "colour: blue\n", "colour"),
    "no-unit": (CONFIG.replace("512MiB", "512"), "memory"),
    "no-image": (
        CONFIG.replace('  - location: "debian:12"\n', "").replace("images:", ""),
        "images",
    ),
    "unknown-image": (CONFIG.replace("debian:12", "debian:99"), "debian:99"),
    "not-yaml": ("images: [", ""),
}


@pytest.mark.parametrize("case", BAD_CONFIGS)
def test_bad_config_has_line_and_field_and_creates_nothing(world: World, case: str) -> None:
    text, word = BAD_CONFIGS[case]
    project = world.project(f"bad-{case}", text)
    done = world.run("up", cwd=project, check=2)
    err = done.stderr.decode()
    assert word in err
    assert "config.yaml" in err or "images[0].location" in err
    assert f"bad-{case}-dev" not in [v["name"] for v in world.json("ls")["vms"]]


def test_wrong_digest(world: World, tmp_path: Path) -> None:
    image = tmp_path / "disk.raw"
    image.write_bytes(b"x" * 4096)
    wrong = "sha256:" + "0" * 64
    done = world.run("image", "pull", str(image), "--digest", wrong, check=1)
    assert b"sha256" in done.stderr
    config = CONFIG.replace('"debian:12"', f'"{image}"\n    digest: "{wrong}"')
    project = world.project("digest", config)
    world.run("up", "--yes", cwd=project, check=1)  # the image is outside the project
    assert world.json("status", cwd=project)["state"] == "first-up-failed"
    world.run("destroy", "-y", cwd=project)


def test_no_qemu(fresh: World) -> None:
    fresh.env["PATH"] = "/nonexistent"
    project = fresh.project("noqemu")
    done = fresh.run("up", cwd=project, check=1)
    assert b"apt-get install" in done.stderr
    assert fresh.run("doctor", check=1).stdout


def test_kernel_panic_shows_the_console(world: World, vm: Path, tmp_path: Path) -> None:
    """A kernel without an initramfs finds no root on an empty disk."""
    disk = tmp_path / "disk.raw"
    disk.write_bytes(bytes(64 << 20))
    kernel = next(world.home.glob("images/*/vmlinuz"))
    digest = {p: hashlib.sha256(p.read_bytes()).hexdigest() for p in (disk, kernel)}
    image = (
        f'images:\n  - location: "{disk}"\n    digest: "sha256:{digest[disk]}"\n'
        f'    kernel:\n      location: "{kernel}"\n      digest: "sha256:{digest[kernel]}"\n'
        '      cmdline: "rdinit=/none"\n'
    )
    project = world.project("panic", image + CONFIG.partition('12"\n')[2])
    done = world.run("up", "--yes", cwd=project, check=1)
    assert b"panic" in done.stderr
    status = world.json("status", cwd=project)
    assert status["state"] == "first-up-failed"
    assert status["hypervisor_pid"] is None
    world.run("destroy", "-y", cwd=project)


def test_nobody_becomes_root_because_the_user_cannot_be_made(world: World) -> None:
    project = world.project("system-user", CONFIG + "user: {name: dora, uid: 33}\n")
    done = world.run("up", cwd=project, check=1)
    assert b"dora (uid 33) cannot be made" in done.stderr
    done = world.run("exec", "--", "id", cwd=project, check=125)
    assert b"no user" in done.stderr
    world.run("exec", "--user", "root", "--", "true", cwd=project)
    world.run("destroy", "-y", cwd=project)


def test_interrupted_up_leaves_nothing(world: World) -> None:
    project = world.project("ctrlc")
    up = world.start("up", cwd=project)
    wait_for_boot(world, "ctrlc-dev")
    up.send_signal(signal.SIGINT)
    _, err = up.communicate(timeout=60)
    assert up.returncode == 130, err
    assert "ctrlc-dev" not in [v["name"] for v in world.json("ls")["vms"]]
    assert not (world.home / "vms" / "ctrlc-dev").exists()
    world.run("up", "--wait=agent", cwd=project)
    world.run("stop", cwd=project)
    again = world.start("up", cwd=project)
    wait_for_boot(world, "ctrlc-dev")
    again.send_signal(signal.SIGINT)
    again.communicate(timeout=60)
    assert again.returncode == 130
    assert world.json("status", "ctrlc-dev")["state"] == "stopped"
    world.run("destroy", "-y", cwd=project)


def test_second_up_joins_the_first(world: World) -> None:
    project = world.project("twice")
    first = world.start("up", "--wait=agent", cwd=project)
    wait_for_boot(world, "twice-dev")
    second = world.start("up", "--wait=agent", cwd=project)
    for up in (first, second):
        out, err = up.communicate(timeout=300)
        assert up.returncode == 0, out + err
    lines = [p for p in world.processes().values() if "qemu-system" in p and "twice-dev" in p]
    assert len(lines) == 1
    world.run("destroy", "-y", cwd=project)


def wait_for_boot(world: World, name: str, within_s: float = 60) -> None:
    """Wait until the hypervisor runs and the guest has not answered yet."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        vms = {v["name"]: v for v in world.json("ls")["vms"]}
        if name in vms and vms[name]["hypervisor_pid"]:
            assert vms[name]["readiness"] == "booting"
            return
        time.sleep(0.05)
    raise AssertionError(f"{name} never booted")


@pytest.mark.parametrize("victim", ["daemon", "zygote", "driver", "hypervisor"])
def test_kill_leaves_nothing_and_up_works_again(fresh: World, victim: str) -> None:
    project = fresh.project("kill")
    fresh.run("up", "--wait=agent", cwd=project)
    status = fresh.json("status", cwd=project)
    daemon = fresh.json("daemon", "status")
    pid = {
        "daemon": daemon["pid"],
        "zygote": daemon["zygote_pid"],
        "driver": status["driver_pid"],
        "hypervisor": status["hypervisor_pid"],
    }[victim]
    os.kill(pid, signal.SIGKILL)
    if victim == "daemon":
        fresh.assert_nothing_runs(within_s=25)
    elif victim == "zygote":
        fresh.run("exec", "--", "true", cwd=project)
        fresh.run("stop", cwd=project)
    else:
        expect_gone(fresh, status["driver_pid"], status["hypervisor_pid"])
    fresh.run("up", "--wait=agent", cwd=project)
    fresh.run("exec", "--", "true", cwd=project)
    fresh.run("destroy", "-y", cwd=project)


def expect_gone(world: World, *pids: int) -> None:
    end = time.monotonic() + 15
    while set(pids) & set(world.processes()) and time.monotonic() < end:
        time.sleep(0.05)
    assert not set(pids) & set(world.processes())
