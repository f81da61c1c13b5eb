"""The root disk: an overlay over the image's disk, both opened by the driver, on virtio-blk.

QEMU gets descriptors and no path. The overlay's own word for what it is based on is not followed:
whoever wrote to it could have written another one there.
"""

from __future__ import annotations

from gaovm.builder.document import BootFiles, File
from gaovm.builder.qemu import quoting
from gaovm.builder.qemu.machine import bus

DISK, BASE = "disk", "base"


def files(artefacts: BootFiles) -> tuple[File, ...]:
    """What the driver opens for the root disk."""
    result = [File(fd=DISK, path=artefacts.disk, writable=True)]
    if artefacts.base is not None:
        result.append(File(fd=BASE, path=artefacts.base))
    return tuple(result)


def _file(number: int, *, writable: bool) -> dict[str, quoting.Json]:
    node: dict[str, quoting.Json] = {"driver": "file", "filename": f"/dev/fdset/{number}"}
    return node | ({"discard": "unmap"} if writable else {"read-only": True})


def arguments(artefacts: BootFiles, machine: str) -> list[str]:
    """Arguments for the root disk, ``/dev/vda`` in the guest. Its discards free host space."""
    result = []
    for number, file in enumerate(files(artefacts), 1):
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
    return [*result, "-blockdev", quoting.as_json(node), "-device", quoting.as_json(device)]
