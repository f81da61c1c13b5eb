"""The board: machine type, accelerator, and the options that make QEMU small and confined."""

from __future__ import annotations

from gaovm import errors
from gaovm.builder.choices import Choice
from gaovm.builder.qemu import quoting
from gaovm.builder.qemu.firmware import Firmware
from gaovm.spec.boot import Arch, MachineType
from gaovm.spec.memory import MIB
from gaovm.spec.vm import VmSpec

# Switched off: SMM (no firmware here needs it), HPET (the guest has a PM timer and the TSC, and
# probing the HPET costs time), the vmport, guest RAM in core dumps.
_Q35: dict[str, quoting.Scalar] = {
    "smm": False,
    "hpet": False,
    "vmport": False,
    "usb": False,
    "dump-guest-core": False,
}
_VIRT: dict[str, quoting.Scalar] = {"gic-version": "max", "dump-guest-core": False}
_MICROVM: dict[str, quoting.Scalar] = {"rtc": True, "pit": True, "dump-guest-core": False}
OPTIONS = {"q35": _Q35, "virt": _VIRT, "microvm": _MICROVM}

# auto never chooses microvm: under TCG some of its boots hang at timer calibration
_MACHINES: dict[Arch, str] = {"x86_64": "q35", "aarch64": "virt"}
_ALLOWED: dict[Arch, tuple[MachineType, ...]] = {
    "x86_64": ("q35", "microvm"),
    "aarch64": ("virt",),
}


def choose(requested: MachineType, arch: Arch) -> Choice:
    """Choose the QEMU machine type.

    Raises:
        errors.ConfigError: the machine type does not exist for the architecture.
    """
    if requested == "auto":
        return Choice(name=_MACHINES[arch], reason=f"the machine type for {arch}")
    if requested not in _ALLOWED[arch]:
        allowed = ", ".join(_ALLOWED[arch])
        raise errors.ConfigError(
            f"machine type {requested} does not exist for {arch}",
            field="vmOpts.gaovm.machine",
            remedy=f"use auto, or one of: {allowed}",
        )
    return Choice(name=requested, reason="asked for in the config")


def bus(machine: str) -> str:
    """Return the suffix of virtio devices: ``pci``, or ``device`` (virtio-mmio) on a microVM."""
    return "device" if machine == "microvm" else "pci"


def console(machine: str) -> str:
    """Return the kernel's name for the first serial port."""
    return "ttyAMA0" if machine == "virt" else "ttyS0"


def translated_bytes(accelerator: str, memory_bytes: int) -> int:
    """Return the limit of TCG's buffer for translated code; 0: there is no such buffer.

    The limit is half of the guest's memory, between 128 MiB and 1 GiB, in whole MiB. QEMU's default
    is an eighth of the host's memory, up to 1 GiB.
    """
    if accelerator != "tcg":
        return 0
    return min(max(memory_bytes // 2, 128 * MIB), 1024 * MIB) // MIB * MIB


def memory_bytes(accelerator: str, ram_bytes: int) -> int:
    """Return the most memory that QEMU needs for a guest with that much RAM."""
    return ram_bytes + translated_bytes(accelerator, ram_bytes)


def arguments(
    spec: VmSpec,
    machine: str,
    accelerator: str,
    *,
    shared_memory: bool,
    firmware: Firmware,
) -> list[str]:
    """Return the arguments for the board. ``shared_memory``: RAM is the object ``mem``."""
    options = {**OPTIONS[machine], **firmware.options}
    if shared_memory:
        options["memory-backend"] = "mem"
    # vhost-user devices need modern virtio-mmio; QEMU's default on this bus is the old one.
    modern = ["-global", "virtio-mmio.force-legacy=false"] if machine == "microvm" else []
    accel: dict[str, quoting.Scalar] = {}
    if accelerator == "tcg":
        size = translated_bytes(accelerator, spec.memory.size_bytes)
        accel = {"thread": "multi", "tb-size": size // MIB}
    return [
        "-name",
        quoting.joined("", {"guest": spec.name, "debug-threads": False}),
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-vga",
        "none",
        "-machine",
        quoting.joined(machine, options),
        *modern,
        "-accel",
        quoting.joined(accelerator, accel),
        # A kernel panic during boot resets the guest; this option makes the reset end QEMU, so the
        # driver sees it at once. Once the guest is up, a reset is a reboot: the driver then allows
        # it (set-action). But a boot loader may reset the machine, as shim does after it has made
        # its boot entries.
        *([] if firmware.own_loader else ["-no-reboot"]),
        "-sandbox",
        quoting.joined(
            "on",
            {
                "obsolete": "deny",
                "elevateprivileges": "deny",
                "spawn": "deny",
                "resourcecontrol": "deny",
            },
        ),
    ]


def devices(machine: str) -> list[str]:
    """Return the devices of every VM: a source of randomness."""
    rng: dict[str, quoting.Json] = {
        "driver": f"virtio-rng-{bus(machine)}",
        "id": "rng0",
        "rng": "entropy",
    }
    # QEMU's own generator, which the kernel seeds: QEMU opens no device file
    entropy: dict[str, quoting.Json] = {"qom-type": "rng-builtin", "id": "entropy"}
    return ["-object", quoting.as_json(entropy), "-device", quoting.as_json(rng)]
