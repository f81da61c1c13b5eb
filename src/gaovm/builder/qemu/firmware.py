"""What boots an image with its own boot loader: UEFI in two flash memories, or QEMU's BIOS.

QEMU gets the flash memories as descriptors, as it gets the disks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from gaovm import errors
from gaovm.builder import packages
from gaovm.builder.document import BootFiles, File
from gaovm.builder.qemu import quoting
from gaovm.model.facts import HostFacts
from gaovm.spec.vm import VmSpec

#: The descriptors of the firmware's program and of the VM's own variables.
CODE, VARIABLES = "firmware", "variables"
# Sets of descriptors; the root disk has the first two, the screenshot the ninth.
_SETS = {CODE: 3, VARIABLES: 4}
#: The agent finds this argument in the seed, where no kernel command line is ours.
_DEBUG = "gaovm.debug=1"


class Firmware(NamedTuple):
    """What boots the image. ``files``: the flash memories. ``options``: the board's for them.

    ``own_loader``: the image has a boot loader of its own, which may reset the machine.
    """

    own_loader: bool
    files: tuple[File, ...] = ()
    options: Mapping[str, quoting.Scalar] = {}


def choose(spec: VmSpec, machine: str, artefacts: BootFiles, host: HostFacts) -> Firmware:
    """Choose the firmware for an image with its own boot loader.

    Raises:
        errors.ConfigError: the machine type has no firmware for it, or the config has arguments for
            a kernel that the image's boot loader starts.
        errors.ProgramMissing: there is no UEFI firmware for the architecture.
    """
    if artefacts.loader == "kernel":
        return Firmware(own_loader=False)
    if machine == "microvm" or (machine == "virt" and artefacts.loader == "bios"):
        raise errors.ConfigError(
            f"machine type {machine} cannot boot this image: {artefacts.loader_reason}",
            field="vmOpts.gaovm.machine",
            remedy="take machine out: one that fits is chosen",
        )
    if set(spec.boot.extra_arguments.split()) - {_DEBUG}:
        raise errors.ConfigError(
            f"the image's own boot loader starts its kernel: {artefacts.loader_reason}. "
            "Arguments for the kernel cannot reach it",
            field="vmOpts.gaovm.cmdline",
            remedy="take cmdline out, or name the image's kernel with `kernel`",
        )
    if artefacts.loader == "uefi" and spec.boot.arch not in host.uefi:
        raise packages.missing(f"UEFI for {spec.boot.arch}")
    if artefacts.loader == "bios" or artefacts.variables is None:
        return Firmware(own_loader=True)
    files = (
        File(fd=CODE, path=host.uefi[spec.boot.arch].code),
        File(fd=VARIABLES, path=artefacts.variables, writable=True),
    )
    options = {f"pflash{unit}": file.fd for unit, file in enumerate(files)}
    return Firmware(own_loader=True, files=files, options=options)


def arguments(firmware: Firmware) -> list[str]:
    """Return the arguments for the flash memories, if there are any."""
    result = []
    for file in firmware.files:
        number = _SETS[file.fd]
        handed: dict[str, quoting.Scalar] = {"fd": quoting.descriptor(file.fd), "set": number}
        node: dict[str, quoting.Json] = {
            "driver": "raw",
            "node-name": file.fd,
            "read-only": not file.writable,
            "file": {
                "driver": "file",
                "filename": f"/dev/fdset/{number}",
                "read-only": not file.writable,
            },
        }
        result += ["-add-fd", quoting.joined("", handed), "-blockdev", quoting.as_json(node)]
    return result
