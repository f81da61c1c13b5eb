"""Devices that notice a hung or panicked guest: a watchdog, and the kernel's panic device.

When the watchdog fires, QEMU only reports it; the VM's policy decides what happens.
"""

from __future__ import annotations

from gaovm import errors
from gaovm.builder.qemu import quoting
from gaovm.spec.supervision import Watchdog


def arguments(watchdog: Watchdog, machine: str) -> list[str]:
    """Return the arguments for both devices and for QEMU's own reactions to them.

    Raises:
        errors.ConfigError: the spec asks for a watchdog on a machine type without one.
    """
    if machine == "microvm":
        if watchdog.device:
            raise errors.ConfigError(
                "machine type microvm has no watchdog device",
                field="vmOpts.gaovm.watchdog.device",
                remedy="use machine: q35, or leave device out: the heartbeat works on it too",
            )
        return []
    # The PCI device works on both machine types; the ISA and ACPI devices work on one only.
    panic: dict[str, quoting.Json] = {"driver": "pvpanic-pci", "id": "panic0"}
    result = ["-device", quoting.as_json(panic)]
    actions: dict[str, quoting.Scalar] = {}
    if watchdog.on_hang == "pause":
        actions["panic"] = "pause"  # without this, QEMU ends
    if watchdog.device:
        dog: dict[str, quoting.Json] = {"driver": "i6300esb", "id": "watchdog0"}
        result += ["-device", quoting.as_json(dog)]
        actions["watchdog"] = "none"
    if actions:
        result += ["-action", quoting.joined("", actions)]
    return result


def kernel_argument(watchdog: Watchdog) -> str:
    """Return the argument that tells the agent to feed the device, and how often."""
    return f"gaovm.watchdog={watchdog.timeout_s}" if watchdog.device else ""
