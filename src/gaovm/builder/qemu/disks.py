"""The root disk: a file with an image format over it, on virtio-blk."""

from __future__ import annotations

from gaovm.builder.qemu import quoting
from gaovm.builder.qemu.document import Artefacts
from gaovm.builder.qemu.machine import bus


def arguments(artefacts: Artefacts, machine: str) -> list[str]:
    """Arguments for the root disk, ``/dev/vda`` in the guest. Its discards free host space."""
    node: dict[str, quoting.Json] = {
        "driver": artefacts.disk_format,
        "node-name": "root",
        "discard": "unmap",
        "file": {
            "driver": "file",
            "filename": artefacts.disk,
            "discard": "unmap",
            "locking": "auto",
        },
    }
    device: dict[str, quoting.Json] = {
        "driver": f"virtio-blk-{bus(machine)}",
        "id": "disk-root",
        "drive": "root",
        "serial": "root",
    }
    return ["-blockdev", quoting.as_json(node), "-device", quoting.as_json(device)]
