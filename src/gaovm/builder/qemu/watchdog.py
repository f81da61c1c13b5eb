"""What notices a guest that hangs or panics: a watchdog device, and the kernel's panic device.

QEMU itself does nothing when the watchdog fires: it tells, and the VM's policy decides.
"""

from __future__ import annotations

from gaovm import errors
from gaovm.builder.qemu import quoting
from gaovm.spec.supervision import Watchdog


def arguments(watchdog: Watchdog, machine: str) -> list[str]:
    """Arguments for both devices and for what QEMU does by itself.

    Raises:
        errors.ConfigError: a watchdog was asked for on a machine type that has none.
    """
    if machine == "microvm":
        if watchdog.device:
            raise errors.ConfigError(
                "machine type microvm has no watchdog device",
                field="vmOpts.gaovm.watchdog.device",
                remedy="use machine: q35, or leave device out: the heartbeat works on it too",
            )
        return []
    # Behind PCI on both machine types, where the one for ISA or ACPI exists on only one of them.
    panic: dict[str, quoting.Json] = {"driver": "pvpanic-pci", "id": "panic0"}
    result = ["-device", quoting.as_json(panic)]
    actions: dict[str, quoting.Scalar] = {}
    if watchdog.on_hang == "pause":
        actions["panic"] = "pause"  # else QEMU ends
    if watchdog.device:
        dog: dict[str, quoting.Json] = {"driver": "i6300esb", "id": "watchdog0"}
        result += ["-device", quoting.as_json(dog)]
        actions["watchdog"] = "none"
    if actions:
        result += ["-action", quoting.joined("", actions)]
    return result


def kernel_argument(watchdog: Watchdog) -> str:
    """Tells the agent to feed the device, and how often."""
    return f"gaovm.watchdog={watchdog.timeout_s}" if watchdog.device else ""
