"""The root disk: an overlay over the image's disk, on virtio-blk. The driver opens both files.

QEMU gets descriptors and no path. It ignores the base file that the overlay's header names: a
program that writes to the overlay could change that name.
"""

from __future__ import annotations

from gaovm.builder.document import BootFiles, File
from gaovm.builder.qemu import quoting, seed
from gaovm.builder.qemu.machine import bus

DISK, BASE = "disk", "base"


def files(artefacts: BootFiles) -> tuple[File, ...]:
    """Return the files that the driver opens for the root disk, and for the seed."""
    return (*_root_files(artefacts), *seed.files(artefacts))


def _root_files(artefacts: BootFiles) -> tuple[File, ...]:
    result = [File(fd=DISK, path=artefacts.disk, writable=True)]
    if artefacts.base is not None:
        result.append(File(fd=BASE, path=artefacts.base))
    return tuple(result)


def _file(number: int, *, writable: bool) -> dict[str, quoting.Json]:
    node: dict[str, quoting.Json] = {"driver": "file", "filename": f"/dev/fdset/{number}"}
    return node | ({"discard": "unmap"} if writable else {"read-only": True})


def arguments(artefacts: BootFiles, machine: str) -> list[str]:
    """Return the arguments for the root disk, ``/dev/vda``, and for the seed behind it.

    Guest discards free host space.
    """
    result = []
    for number, file in enumerate(_root_files(artefacts), 1):
        handed: dict[str, quoting.Scalar] = {"fd": quoting.descriptor(file.fd), "set": number}
        result += ["-add-fd", quoting.joined("", handed)]
    node: dict[str, quoting.Json] = {
        "driver": artefacts.disk_format,
        "node-name": "root",
        "discard": "unmap",
        "file": {**_file(1, writable=True), "locking": "auto"},
    }
    if artefacts.base is not None:
        base: dict[str, quoting.Json] = {
            "driver": artefacts.base_format,
            "node-name": "base",
            "read-only": True,
            "file": _file(2, writable=False),
        }
        if artefacts.base_format != "raw":
            base["backing"] = None
        node["backing"] = base
    device: dict[str, quoting.Json] = {
        "driver": f"virtio-blk-{bus(machine)}",
        "id": "disk-root",
        "drive": "root",
        "serial": "root",
    }
    if artefacts.loader != "kernel":
        device["bootindex"] = 0  # the firmware tries no other device
    result += ["-blockdev", quoting.as_json(node), "-device", quoting.as_json(device)]
    return [*result, *seed.arguments(artefacts, machine)]
