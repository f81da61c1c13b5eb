"""Find the files that a VM boots from in ``$GAOVM_HOME``, read only: for ``gaovm explain``.

A placeholder such as ``<image:debian:12>`` stands for what does not exist yet (no image built, no
``up`` so far). If a VM has a disk, its image is the one that the disk refers to.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from gaovm import errors
from gaovm.aio import files
from gaovm.builder import layout, qcow2
from gaovm.builder.document import BootFiles, DiskDevice
from gaovm.spec import disks
from gaovm.spec.vm import VmSpec

_MANIFEST_BYTES = 64 << 10
_OWN_IMAGE = "debian:12"
#: In a VM's directory: its UEFI variables, and the seed of an image that knows nothing of GaoVM.
VARIABLES, SEED = "uefi-variables.fd", "cidata.iso"


def find(home: Path, spec: VmSpec) -> BootFiles:
    """Find a VM's artefacts below a state directory. A missing file raises nothing."""
    disk = home / "vms" / spec.name / "disk.qcow2"
    image = _backing(disk) or _newest(home, spec, spec.image.location)
    base = image and _file(image, "disk")
    missing = f"image:{spec.image.location}"
    found = BootFiles(
        disk=str(disk),
        base=str(base or f"<{missing}:disk>"),
        base_format=_format(image) if image is not None else "raw",
        image_digest=image.name if image is not None else "",
        additional=tuple(_additional(home, disk.name) for disk in spec.additional_disks),
    )
    booted, seed = image, None
    if image is not None and _file(image, "kernel") is None:
        own = _layout(image, base) if base is not None else None
        if own is not None and own.loader != "kernel":
            return msgspec.structs.replace(
                found,
                loader=own.loader,
                loader_reason=own.reason,
                variables=str(disk.with_name(VARIABLES)) if own.loader == "uefi" else None,
                seed=str(disk.with_name(SEED)),
            )
        # a pulled disk that is a file system boots with the kernel of our own image
        booted = _newest(home, spec, _OWN_IMAGE)
    elif image is not None and _file(image, "initrd") is not None:
        seed = str(disk.with_name(SEED))
    kernel = booted and _file(booted, "kernel")
    initrd = booted and (_file(booted, "initrd") or _initramfs(booted))
    return msgspec.structs.replace(
        found,
        kernel=str(kernel or f"<{missing}:kernel>"),
        initrd=str(initrd or f"<{missing}:initramfs>"),
        seed=seed,
    )


def _layout(image: Path, base: Path) -> layout.Layout | None:
    """Tell what boots an image's disk; None when it cannot be read."""
    try:
        return disk_loader(base, _format(image))
    except (OSError, errors.GaoError):
        return None


def disk_loader(disk: Path, disk_format: str) -> layout.Layout:
    """Tell what boots a disk (``raw`` or ``qcow2``). Reads a few kilobytes.

    Raises:
        OSError, errors.NotFound: the file cannot be read.
    """
    with files.open_regular(disk) as file:

        def read(offset: int, count: int) -> bytes:
            file.seek(offset)
            return file.read(count)

        return layout.find(read, disk_format)


def _additional(home: Path, name: str) -> DiskDevice:
    raw = home / "disks" / name / "disk.raw"
    kind = "raw" if raw.is_file() else "qcow2"
    return DiskDevice(path=str(raw.with_suffix(f".{kind}")), format=kind, serial=disks.serial(name))


def _newest(home: Path, spec: VmSpec, name: str) -> Path | None:
    """Return the directory of the newest image with that name that fits the VM."""
    found: list[tuple[int, Path]] = []
    for path in (home / "images").glob("*/manifest.json"):
        manifest = _manifest(path.parent)
        identity = manifest["identity"]
        fits = identity.get("kernel") in (None, spec.boot.kernel)
        created = manifest.get("created")
        if identity.get("name") == name and identity.get("arch") == spec.boot.arch and fits:
            found.append((created if isinstance(created, int) else 0, path.parent))
    return max(found)[1] if found else None


def _backing(disk: Path) -> Path | None:
    """Return the image directory that a qcow2 overlay refers to."""
    try:
        with disk.open("rb") as file:
            header = qcow2.parse(file.read(qcow2.HEADER_BYTES))
            if header is None or not 0 < header.backing_bytes <= qcow2.MAX_BACKING:
                return None
            file.seek(header.backing_at)
            name = file.read(header.backing_bytes).decode()
    except (OSError, ValueError):
        return None
    directory = Path(name).parent
    return directory if (directory / "manifest.json").is_file() else None


def _format(image: Path) -> str:
    return "qcow2" if _manifest(image)["identity"].get("disk_format") == "qcow2" else "raw"


def _file(image: Path, role: str) -> Path | None:
    artefact = _manifest(image)["identity"].get("artefacts", {}).get(role)
    name = artefact.get("file") if isinstance(artefact, dict) else None
    return image / name if isinstance(name, str) and Path(name).name == name else None


def _initramfs(image: Path) -> Path | None:
    """Return the initramfs that was made last: it holds the agent of this installation."""
    made = [(path.stat().st_mtime_ns, path) for path in image.glob("initrd-*.img")]
    return max(made)[1] if made else None


def _manifest(image: Path) -> dict[str, Any]:
    """Return the manifest; with an empty identity if the file cannot be used."""
    try:
        with (image / "manifest.json").open("rb") as file:
            data = json.loads(file.read(_MANIFEST_BYTES))
    except (OSError, ValueError):
        data = None
    if not isinstance(data, dict) or not isinstance(data.get("identity"), dict):
        return {"identity": {}}
    return data
