"""An unmodified image of a distribution boots by UEFI, and everything of the product works in it.

The first run of all makes the image, which takes two to five minutes (``tests/e2e/cloud_image.py``
keeps it); a first boot with cloud-init takes one to two under emulation, a later boot half of that.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e import cloud_image
from tests.e2e.world import World, make_world

from gaovm.daemon import images

pytestmark = [
    pytest.mark.timeout(1800),
    pytest.mark.skipif(os.geteuid() != 0, reason="mmdebstrap and mke2fs -d need root here"),
]
UID = 4242
CONFIG = """\
images:
- location: ./cloud.qcow2
  arch: x86_64
cpus: 1
memory: 512MiB
disk: 4GiB
user: {name: ann, uid: 4242, home: /home/ann.guest}
provision:
- mode: system
  script: |
    #!/bin/sh
    echo "system $(id -u)" >/var/tmp/order
    chmod 666 /var/tmp/order
- mode: user
  script: |
    #!/bin/sh
    echo "user $(id -u)" >>/var/tmp/order
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Make a world for the VM of this module; at the end nothing of it may run."""
    made = make_world(tmp_path_factory.mktemp("cloud"))
    yield made
    made.stop()


@pytest.fixture(scope="module")
def project(world: World) -> Path:
    """Boot the image for the first time; the value is the project's directory."""
    image = cloud_image.make()
    path = world.project("cloud", CONFIG)
    os.link(image, path / "cloud.qcow2")
    (path / "from-host").write_text("host\n")
    os.chown(path, UID, UID)  # the guest's user may write what belongs to the same id here
    world.run("up", "--yes", cwd=path, timeout=1500)
    return path


def guest(world: World, project: Path, script: str) -> str:
    """Return what a script prints in the guest."""
    return world.run("exec", "--", "sh", "-c", script, cwd=project).stdout.decode()


def test_the_image_knows_nothing_of_us() -> None:
    found, kept = set(), b""
    with cloud_image.make().open("rb") as file:
        while piece := file.read(32 << 20):
            text = kept + piece.lower()
            found |= {word for word in (b"cloud-init", b"gaovm") if word in text}
            kept = text[-16:]
    assert found == {b"cloud-init"}


def test_everything_works_in_an_unmodified_image(world: World, project: Path) -> None:
    assert guest(world, project, "test -d /sys/firmware/efi && echo uefi") == "uefi\n"
    assert guest(world, project, "id -un; id -u; echo $HOME; hostname; sudo id -u; pwd") == (
        f"ann\n4242\n/home/ann.guest\ncloud-dev\n0\n{project}\n"
    )
    assert guest(world, project, "cat /var/tmp/order") == "system 0\nuser 4242\n"
    assert guest(world, project, "cat from-host; echo guest >from-guest") == "host\n"
    assert (project / "from-guest").read_text() == "guest\n"
    (project / "file").write_bytes(b"\0data")
    world.run("cp", str(project / "file"), "cloud-dev:/var/tmp/file", cwd=project)
    assert guest(world, project, "od -c /var/tmp/file | head -n1").split()[1:] == [
        "\\0", "d", "a", "t", "a",
    ]  # fmt: skip
    assert abs(int(guest(world, project, "date +%s")) - time.time()) < 60
    # the root file system has grown to the disk of the config
    assert int(guest(world, project, "df --output=size -B1 / | tail -n1")) > 3 << 30
    # cloud-init has taken the seed whole, and made no user of its own
    assert guest(world, project, "cloud-init status").strip() == "status: done"
    assert "debian" not in guest(world, project, "cut -d: -f1 /etc/passwd")
    assert guest(world, project, "systemctl --failed --no-legend") == ""
    assert world.json("status", cwd=project)["readiness"] == "ready"


def test_the_agent_is_there_at_the_next_boot_in_its_newest_form(
    world: World, project: Path
) -> None:
    program = "/usr/local/bin/gaovm-agent"
    note = "/usr/local/bin/.gaovm-agent.sha256"
    # an older agent: another program, with its own digest beside it
    guest(
        world, project, f"sudo sh -c 'echo >>{program}; sha256sum <{program} | cut -c-64 >{note}'"
    )
    before = guest(
        world, project, "cat /proc/sys/kernel/random/boot_id; ls /var/lib/cloud/instances"
    )
    world.run("stop", cwd=project, timeout=120)
    world.run("up", cwd=project, timeout=900)
    after = guest(
        world, project, "cat /proc/sys/kernel/random/boot_id; ls /var/lib/cloud/instances"
    )
    assert before.split()[0] != after.split()[0]
    assert before.split()[1:] == after.split()[1:]  # for cloud-init it is the same machine
    ours = hashlib.sha256(images.agent_program("x86_64").read_bytes()).hexdigest()
    assert guest(world, project, f"sha256sum <{program}; cat {note}").split() == [ours, "-", ours]
    # the partition and the file system follow a disk that grows while the VM runs
    world.run("set", "disk=5GiB", cwd=project)
    assert int(guest(world, project, "df --output=size -B1 / | tail -n1")) > 4 << 30
    # what the guest's own reboot does is the same; the command ends with its machine
    script = "sudo systemctl reboot; sleep 600"
    world.run("exec", "--", "sh", "-c", script, cwd=project, check=None, timeout=600)
    world.run("up", cwd=project, timeout=900)
    last = guest(world, project, "cat /proc/sys/kernel/random/boot_id; cat from-host").split()
    assert last[0] not in (before.split()[0], after.split()[0])
    assert last[1:] == ["host"]
