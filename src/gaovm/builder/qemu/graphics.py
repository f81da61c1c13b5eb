"""The display: a graphics card, a keyboard and a tablet, and VNC on a Unix socket.

A headless VM has none of these. The card is virtio-gpu: the guest's kernel has a driver for it on
every architecture and reads the requested size from its EDID. The tablet reports absolute
positions, so the guest's pointer is where the host's is. QEMU's VNC server does not listen: the
driver listens and passes each viewer on as a connected socket (``add_client`` of the monitor).
"""

from __future__ import annotations

from gaovm import errors
from gaovm.builder.qemu import quoting
from gaovm.builder.qemu.machine import bus
from gaovm.spec.vm import VmSpec

#: Puts a guest terminal on the display; a later ``console=`` keeps the serial port as the console.
KERNEL_ARGUMENT = "console=tty0"
#: The descriptor (and its fd set) of the memory file into which QEMU writes screenshots.
SCREENSHOT, SCREENSHOT_SET = "screenshot", 9
_REMEDY = "or switch the display off: graphics.enabled=false"


def check(spec: VmSpec, machine: str) -> None:
    """Refuse a display that the guest could not drive.

    Raises:
        errors.ConfigError: the machine type or the kernel supports no display.
    """
    if not spec.graphics.enabled:
        return
    if machine == "microvm":
        raise errors.ConfigError(
            "machine type microvm has no display",
            field="vmOpts.gaovm.machine",
            remedy=f"use machine auto, {_REMEDY}",
        )
    if spec.boot.kernel == "cloud":
        raise errors.ConfigError(
            "the cloud kernel has no display drivers",
            field="vmOpts.gaovm.kernel",
            remedy=f"use kernel generic, {_REMEDY}",
        )


def kernel_argument(spec: VmSpec) -> str:
    """Return the kernel argument for the display; empty without one."""
    return KERNEL_ARGUMENT if spec.graphics.enabled else ""


def arguments(spec: VmSpec, machine: str) -> list[str]:
    """Return the arguments for the display; none without one."""
    if not spec.graphics.enabled:
        return []
    suffix = bus(machine)
    card: dict[str, quoting.Json] = {
        "driver": f"virtio-gpu-{suffix}",
        "id": "display",
        "max_outputs": 1,
        "edid": True,
        "xres": spec.graphics.width,
        "yres": spec.graphics.height,
    }
    keyboard: dict[str, quoting.Json] = {"driver": f"virtio-keyboard-{suffix}", "id": "keyboard"}
    tablet: dict[str, quoting.Json] = {"driver": f"virtio-tablet-{suffix}", "id": "tablet"}
    return [
        "-device",
        quoting.as_json(card),
        "-device",
        quoting.as_json(keyboard),
        "-device",
        quoting.as_json(tablet),
        # shared: a second viewer does not disconnect the window
        "-vnc",
        quoting.joined("none", {"share": "force-shared"}),
        "-add-fd",
        quoting.joined("", {"fd": quoting.descriptor(SCREENSHOT), "set": SCREENSHOT_SET}),
    ]
