"""Named disks in real VMs: mounted, kept, grown, shared by no two, never formatted twice."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

from tests.e2e.world import LIGHT, World

MIB = 1 << 20


def config(*disks: str) -> str:
    return LIGHT + f"additionalDisks: [{', '.join(disks)}]\n"


def write(project: Path, *disks: str) -> None:
    (project / ".lima" / "config.yaml").write_text(config(*disks))


def inside(world: World, project: Path, script: str) -> str:
    return world.run("exec", "--", "sh", "-c", script, cwd=project).stdout.decode().strip()


def partitioned(directory: Path) -> Path:
    """Make a disk with one partition that holds ext4, as Lima's disks do."""
    path = directory / "partitioned"
    with path.open("wb") as file:
        file.truncate(64 * MIB)
        file.seek(446)  # the first entry of an MBR: Linux, from 1 MiB to the end
        file.write(struct.pack("<B3xB3xII", 0, 0x83, 2048, 63 * MIB // 512))
        file.seek(510)
        file.write(b"\x55\xaa")
    made = ["mke2fs", "-q", "-F", "-t", "ext4", "-E", f"offset={MIB}", str(path), "61M"]
    subprocess.run(made, check=True)
    return path


def test_a_disk_outlives_its_vms(world: World, tmp_path: Path) -> None:
    project = world.project("with-disk", config("data"))
    missing = world.run("up", "--yes", cwd=project, check=2).stderr
    assert b"there is no disk 'data'" in missing
    assert b"gaovm disk create data --size=" in missing
    assert "with-disk-dev" not in [vm["name"] for vm in world.json("ls")["vms"]]

    world.run("disk", "create", "data", "--size", "100MiB")
    asked = world.run("up", cwd=project, check=2).stderr
    assert b"disk data" in asked, "another project's data may be on it"
    world.run("up", "--yes", cwd=project, timeout=600)
    (shown,) = world.json("status", cwd=project)["additional_disks"]
    assert (shown["name"], shown["mount_point"]) == ("data", "/mnt/lima-data")
    mounted = inside(world, project, "findmnt -no FSTYPE,SOURCE /mnt/lima-data").split()
    assert mounted == ["ext4", "/dev/vdb"]
    small = int(inside(world, project, "df --output=size -B1 /mnt/lima-data | tail -1"))
    assert 80 * MIB < small < 100 * MIB
    inside(world, project, "echo kept > /mnt/lima-data/file")

    other = world.project("rival", config("data"))
    refused = world.run("up", "--yes", cwd=other, check=1).stderr
    assert b"disk data is in use by VM with-disk-dev" in refused
    world.run("destroy", "-y", cwd=other)
    assert b"in use" in world.run("disk", "rm", "-f", "data", check=1).stderr
    assert b"in use" in world.run("disk", "resize", "data", "--size", "1GiB", check=1).stderr

    world.run("stop", cwd=project)
    shrunk = world.run("disk", "resize", "data", "--size", "50MiB", check=2).stderr
    assert b"shrinking is currently unavailable" in shrunk
    world.run("disk", "resize", "data", "--size", "400MiB")
    world.run("start", cwd=project, timeout=600)
    assert inside(world, project, "cat /mnt/lima-data/file") == "kept"
    assert int(inside(world, project, "df --output=size -B1 /mnt/lima-data | tail -1")) > 3 * small

    world.run("destroy", "-y", cwd=project)
    assert [disk["name"] for disk in world.json("disk", "ls")["disks"]] == ["data"]
    filled = tmp_path / "filled"
    filled.write_bytes(b"precious".ljust(32 * MIB, b"."))
    world.run("disk", "import", "filled", str(filled))
    world.run("disk", "import", "of-lima", str(partitioned(tmp_path)))
    write(project, "data", "of-lima", "filled")
    failed = world.run("up", "--yes", cwd=project, check=1, timeout=600).stderr
    assert b"cannot mount the disk at /mnt/lima-filled" in failed
    assert b"it was not formatted" in failed
    assert inside(world, project, "cat /mnt/lima-data/file") == "kept", "it serves a new VM, too"
    assert inside(world, project, "findmnt -no SOURCE /mnt/lima-of-lima") == "/dev/vdc1"
    world.run("destroy", "-y", cwd=project)
    copy = world.home / "disks" / "filled" / "disk.raw"
    assert subprocess.run(["cmp", str(filled), str(copy)], check=False).returncode == 0
    world.run("disk", "rm", "data", "filled", "of-lima")
    assert list((world.home / "disks").iterdir()) == []
