"""The seed: a read-only disk that the guest's cloud-init and the agent find."""

from __future__ import annotations

from gaovm.builder.document import BootFiles, File
from gaovm.builder.qemu import quoting
from gaovm.builder.qemu.machine import bus

FD = "seed"
_SET = 5
#: The agent finds the disk by this serial number (``agent/internal/seed``).
SERIAL = "cidata"


def files(artefacts: BootFiles) -> tuple[File, ...]:
    """Return the file that the driver opens for the seed, if the VM has one."""
    return () if artefacts.seed is None else (File(fd=FD, path=artefacts.seed),)


def arguments(artefacts: BootFiles, machine: str) -> list[str]:
    """Return the arguments for the seed, the disk behind the root disk.

    It is a virtio disk: a kernel that boots from one needs no other driver for it.
    """
    if artefacts.seed is None:
        return []
    handed: dict[str, quoting.Scalar] = {"fd": quoting.descriptor(FD), "set": _SET}
    node: dict[str, quoting.Json] = {
        "driver": "raw",
        "node-name": "seed",
        "read-only": True,
        "file": {"driver": "file", "filename": f"/dev/fdset/{_SET}", "read-only": True},
    }
    device: dict[str, quoting.Json] = {
        "driver": f"virtio-blk-{bus(machine)}",
        "id": "disk-seed",
        "drive": "seed",
        "serial": SERIAL,
    }
    return [
        "-add-fd",
        quoting.joined("", handed),
        "-blockdev",
        quoting.as_json(node),
        "-device",
        quoting.as_json(device),
    ]
