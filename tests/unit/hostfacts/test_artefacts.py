from __future__ import annotations

import json
import struct
from pathlib import Path

from gaovm.hostfacts import boot_files
from gaovm.spec.boot import Boot
from gaovm.spec.disks import Image
from gaovm.spec.guest import Guest, User
from gaovm.spec.vm import VmSpec


def _spec(location: str = "debian:12") -> VmSpec:
    user = User(name="ann", uid=1000, gid=1000, home="/home/ann.guest")
    return VmSpec(
        name="web",
        image=Image(location=location),
        guest=Guest(user=user, hostname="web"),
        boot=Boot(arch="x86_64", kernel="generic"),
    )


def _image(home: Path, digest: str, name: str = "debian:12", **changes: object) -> Path:
    directory = home / "images" / digest
    directory.mkdir(parents=True)
    files = {"disk": "disk.raw", "kernel": "vmlinux", "modules": "modules.cpio.lz4"}
    identity = {
        "name": name,
        "arch": "x86_64",
        "kernel": "generic",
        "artefacts": {role: {"file": file} for role, file in files.items()},
        **changes,
    }
    created = changes.get("created", 1)
    (directory / "manifest.json").write_text(json.dumps({"identity": identity, "created": created}))
    (directory / "initrd-0123456789ab.img").touch()
    return directory


def test_nothing_built_gives_placeholders(tmp_path: Path) -> None:
    found = boot_files.find(tmp_path, _spec())
    assert found.disk == str(tmp_path / "vms" / "web" / "disk.qcow2")
    assert found.kernel == "<image:debian:12:kernel>"
    assert found.initrd == "<image:debian:12:initramfs>"


def test_the_newest_image_that_fits_is_taken(tmp_path: Path) -> None:
    _image(tmp_path, "a" * 64, created=1)
    newest = _image(tmp_path, "b" * 64, created=2)
    _image(tmp_path, "c" * 64, created=3, kernel="cloud")
    _image(tmp_path, "d" * 64, created=3, arch="aarch64")
    _image(tmp_path, "e" * 64, "debian:13", created=3)
    broken = tmp_path / "images" / ("f" * 64)
    broken.mkdir()
    (broken / "manifest.json").write_text("[]")
    found = boot_files.find(tmp_path, _spec())
    assert found.kernel == str(newest / "vmlinux")
    assert found.initrd == str(newest / "initrd-0123456789ab.img")
    assert found.image_digest == "b" * 64


def test_a_disk_decides_the_image(tmp_path: Path) -> None:
    old = _image(tmp_path, "a" * 64, created=1)
    _image(tmp_path, "b" * 64, created=2)
    name = str(old / "disk.raw").encode()
    disk = tmp_path / "vms" / "web" / "disk.qcow2"
    disk.parent.mkdir(parents=True)
    disk.write_bytes(struct.pack(">4sIQI", b"QFI\xfb", 3, 104, len(name)).ljust(104, b"\0") + name)
    assert boot_files.find(tmp_path, _spec()).kernel == str(old / "vmlinux")
    disk.write_bytes(b"QFI\xfb junk")
    assert boot_files.find(tmp_path, _spec()).image_digest == "b" * 64


def test_a_pulled_disk_boots_with_our_kernel(tmp_path: Path) -> None:
    own = _image(tmp_path, "a" * 64)
    location = "https://images.example.org/x.qcow2"
    pulled = _image(
        tmp_path, "b" * 64, location, kernel=None, artefacts={"disk": {"file": "disk.qcow2"}}
    )
    found = boot_files.find(tmp_path, _spec(location))
    assert (found.kernel, found.image_digest) == (str(own / "vmlinux"), pulled.name)


def test_a_pulled_disk_with_a_loader_boots_by_it(tmp_path: Path) -> None:
    _image(tmp_path, "a" * 64)
    location = "https://images.example.org/x.img"
    artefacts = {"disk": {"file": "disk.raw"}}
    pulled = _image(tmp_path, "b" * 64, location, kernel=None, artefacts=artefacts)
    (pulled / "disk.raw").write_bytes(bytes(510) + b"\x55\xaa")
    found = boot_files.find(tmp_path, _spec(location))
    assert (found.loader, found.kernel, found.variables) == ("bios", None, None)
    assert found.seed == str(tmp_path / "vms" / "web" / "cidata.iso")


def test_an_initramfs_of_a_distribution_gets_the_seed(tmp_path: Path) -> None:
    location = "https://images.example.org/x.img"
    roles = {role: {"file": role} for role in ("disk", "kernel", "initrd")}
    pulled = _image(tmp_path, "b" * 64, location, kernel=None, artefacts=roles)
    found = boot_files.find(tmp_path, _spec(location))
    assert (found.loader, found.initrd) == ("kernel", str(pulled / "initrd"))
    assert found.seed == str(tmp_path / "vms" / "web" / "cidata.iso")


def test_a_manifest_cannot_point_elsewhere(tmp_path: Path) -> None:
    _image(tmp_path, "a" * 64, artefacts={"kernel": {"file": "../../../etc/passwd"}})
    assert boot_files.find(tmp_path, _spec()).kernel == "<image:debian:12:kernel>"
