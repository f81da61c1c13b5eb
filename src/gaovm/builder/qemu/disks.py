"""The root disk and the additional ones, all on virtio-blk. The driver opens their files.

The root disk is an overlay over the image's disk. QEMU gets descriptors and no path. It ignores
other files that a qcow2 header names: a program that writes to the file could change that name.
"""

from __future__ import annotations

from gaovm import errors
from gaovm.builder.document import BootFiles, DiskDevice, File
from gaovm.builder.qemu import quoting, seed
from gaovm.builder.qemu.machine import bus

DISK, BASE = "disk", "base"
# QEMU's fd sets: 1 and 2 are the root disk's, 9 the screenshot's
_FIRST_SET = 16
# The last free slot of the root bus, which no device gets by itself before 26 others. Its eight
# functions hold all additional disks, so that 20 shares fit beside them.
_SLOT = 0x1E
#: A microVM has eight places for virtio devices; four are the serial port's, the root disk's, the
#: network's and the source of randomness's.
_MICROVM_PLACES = 4


def files(artefacts: BootFiles) -> tuple[File, ...]:
    """Return the files that the driver opens for all disks, the seed among them."""
    return (*_root_files(artefacts), *seed.files(artefacts), *_additional_files(artefacts))


def _root_files(artefacts: BootFiles) -> tuple[File, ...]:
    result = [File(fd=DISK, path=artefacts.disk, writable=True)]
    if artefacts.base is not None:
        result.append(File(fd=BASE, path=artefacts.base))
    return tuple(result)


def _additional_files(artefacts: BootFiles) -> tuple[File, ...]:
    return tuple(
        File(fd=f"additional{number}", path=disk.path, writable=True)
        for number, disk in enumerate(artefacts.additional)
    )


def _check(artefacts: BootFiles, machine: str, shares: int) -> None:
    """Refuse more devices than a microVM has places for.

    Raises:
        errors.ConfigError: there are too many disks and shares.
    """
    wanted = len(artefacts.additional)
    if machine == "microvm" and wanted and wanted + shares > _MICROVM_PLACES:
        raise errors.ConfigError(
            f"a microvm has room for {_MICROVM_PLACES} additional disks and mounts, not for "
            f"{wanted} disks and {shares} mounts",
            field="additionalDisks",
            remedy="use machine auto, or fewer of them",
        )


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


def additional_arguments(artefacts: BootFiles, machine: str, shares: int) -> list[str]:
    """Return the arguments for the additional disks, in the config's order.

    Raises:
        errors.ConfigError: the machine has no room for them beside so many ``shares``.
    """
    _check(artefacts, machine, shares)
    result = []
    opened = _additional_files(artefacts)
    for number, (disk, file) in enumerate(zip(artefacts.additional, opened, strict=True)):
        place = _FIRST_SET + number
        handed: dict[str, quoting.Scalar] = {"fd": quoting.descriptor(file.fd), "set": place}
        result += ["-add-fd", quoting.joined("", handed)]
        result += _additional(number, disk, machine)
    return result


def _additional(number: int, disk: DiskDevice, machine: str) -> list[str]:
    name = f"additional{number}"
    node: dict[str, quoting.Json] = {
        "driver": disk.format,
        "node-name": name,
        "discard": "unmap",
        "file": {**_file(_FIRST_SET + number, writable=True), "locking": "auto"},
    }
    if disk.format != "raw":
        node["backing"] = None
    device: dict[str, quoting.Json] = {
        "driver": f"virtio-blk-{bus(machine)}",
        "id": f"disk-{name}",
        "drive": name,
        "serial": disk.serial,
    }
    if bus(machine) == "pci":
        device |= {"addr": f"{_SLOT:x}.{number}", "multifunction": True}
    return ["-blockdev", quoting.as_json(node), "-device", quoting.as_json(device)]
