"""The board: machine type, accelerator, and what keeps QEMU lean and locked in."""

from __future__ import annotations

from gaovm import errors
from gaovm.builder.choices import Choice
from gaovm.builder.qemu import quoting
from gaovm.spec.boot import Arch, MachineType
from gaovm.spec.memory import MIB
from gaovm.spec.vm import VmSpec

# Off: SMM (nothing boots through firmware that needs it), HPET (a PM timer and the TSC are
# there, and probing it costs time), the vmport, guest RAM in core dumps.
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

# microVM is never chosen by itself: under TCG some boots of it hang at timer calibration
_MACHINES: dict[Arch, str] = {"x86_64": "q35", "aarch64": "virt"}
_ALLOWED: dict[Arch, tuple[MachineType, ...]] = {
    "x86_64": ("q35", "microvm"),
    "aarch64": ("virt",),
}


def choose(requested: MachineType, arch: Arch) -> Choice:
    """The QEMU machine type.

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
    """Suffix of virtio devices: ``pci``, or ``device`` (virtio-mmio) on a microVM."""
    return "device" if machine == "microvm" else "pci"


def console(machine: str) -> str:
    """The kernel's name of the first serial port."""
    return "ttyAMA0" if machine == "virt" else "ttyS0"


def translated_bytes(accelerator: str, memory_bytes: int) -> int:
    """How large the buffer of code that TCG has translated may become; 0: there is none.

    Half of the guest's memory, 128 MiB at least, 1 GiB at most, in whole MiB. QEMU's default is
    an eighth of the host's memory, up to 1 GiB.
    """
    if accelerator != "tcg":
        return 0
    return min(max(memory_bytes // 2, 128 * MIB), 1024 * MIB) // MIB * MIB


def arguments(spec: VmSpec, machine: str, accelerator: str, *, shared_memory: bool) -> list[str]:
    """Arguments for the board. ``shared_memory``: RAM is the object ``mem``."""
    options = dict(OPTIONS[machine])
    if shared_memory:
        options["memory-backend"] = "mem"
    # The virtio that vhost-user devices ask for; QEMU's default on this bus is the old one.
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
        # a boot that ends in a kernel panic resets, which so ends QEMU and is seen at once; the
        # driver allows resets (set-action) when the guest is up, for then it is a reboot
        "-no-reboot",
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
    """Devices every VM has: a source of randomness."""
    rng: dict[str, quoting.Json] = {
        "driver": f"virtio-rng-{bus(machine)}",
        "id": "rng0",
        "rng": "entropy",
    }
    # QEMU's own generator, seeded by the kernel: no device file is opened
    entropy: dict[str, quoting.Json] = {"qom-type": "rng-builtin", "id": "entropy"}
    return ["-object", quoting.as_json(entropy), "-device", quoting.as_json(rng)]
