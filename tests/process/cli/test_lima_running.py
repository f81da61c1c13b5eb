"""``gaovm lima`` with instances that run: a real daemon and driver, a fake hypervisor."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.process.cli.limactl import Limactl
from tests.process.driver import harness


@pytest.fixture
def limactl(home: Path, project: Path) -> Iterator[Limactl]:
    made = Limactl(home, project)
    made.environment.update(
        PATH=harness.fake_qemu_path(home.parent / "bin"),
        GAOVM_FAKE_QEMU="{}",
        **harness.UNCAGED,
    )
    try:
        yield made
    finally:
        made.stop_daemon()


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """Return a template of an image of a few bytes, in a directory of its own."""
    folder = tmp_path / "templates"
    folder.mkdir()
    disk, kernel = folder / "disk.img", folder / "vmlinuz"
    with disk.open("wb") as file:
        file.truncate(1 << 20)
    kernel.write_bytes(b"kernel")
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (disk, kernel)]
    boot = {"location": str(kernel), "digest": f"sha256:{digests[1]}"}
    image = {"location": str(disk), "digest": f"sha256:{digests[0]}", "kernel": boot}
    sizes = {"cpus": 1, "memory": "256MiB", "disk": "64MiB"}
    found = folder / "web.yaml"
    found.write_text(json.dumps({"images": [image], "message": "Hello from {{.Name}}", **sizes}))
    return found


def state(limactl: Limactl, name: str = "web") -> str:
    return limactl.good("list", "--format", "{{.Status}}", name)


def test_an_instance_s_life(limactl: Limactl, template: Path) -> None:
    done = limactl("start", "--tty=false", "--set", '.env.A = "b"', str(template))
    said = done.stderr.decode()
    assert done.returncode == 0, said
    assert "READY. Run `limactl shell web` to open the shell." in said
    assert f"the instance reaches: image {template.parent / 'disk.img'}" in said
    assert done.stdout == b"Hello from web\n"
    assert state(limactl) == "Running"
    shown = json.loads(limactl.good("ls", "--json", "web"))
    assert shown["driverPID"] and shown["hostAgentPID"] and shown["config"]["env"] == {"A": "b"}

    assert b"is already running" in limactl("start", "web").stderr
    assert "cannot edit a running instance" in limactl.bad("edit", "web", "--cpus=2")
    assert "(maybe use `limactl delete --force`?)" in limactl.bad("delete", "web")
    assert "instance `web` already exists" in limactl.bad("start", "--name=web", str(template))

    limactl.good("stop", "web")
    assert state(limactl) == "Stopped"
    assert "(maybe use `limactl stop -f`?)" in limactl.bad("stop", "web")
    limactl.good("stop", "-f", "web")
    limactl.good("edit", "web", "--cpus=2")
    assert "was started: its disk cannot be copied" in limactl.bad("clone", "web", "other")
    limactl.good("restart", "web")
    assert state(limactl) == "Running"
    assert json.loads(limactl.good("ls", "--json", "web"))["cpus"] == 2

    limactl.good("factory-reset", "web")
    assert state(limactl) == "Stopped"
    limactl.good("start", "web", "--cpus=1")
    assert json.loads(limactl.good("ls", "--json", "web"))["cpus"] == 1
    limactl.good("delete", "-f", "web")
    assert limactl.good("ls", "-q") == ""
    assert list(limactl.lima_home.iterdir()) == []


def test_a_file_that_somebody_else_changed_is_asked_about(
    limactl: Limactl, template: Path, tmp_path: Path
) -> None:
    limactl.good("create", str(template))
    file = limactl.lima_home / "web" / "lima.yaml"
    config = json.loads(file.read_text())
    config["mounts"] = [{"location": str(tmp_path), "writable": True}]
    file.write_text(json.dumps(config))
    assert "reaches further" in limactl.bad("start", "--tty=false", "web")
    assert state(limactl) == "Stopped"
