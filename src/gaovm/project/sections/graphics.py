"""``video.display`` and ``vmOpts.gaovm.graphics`` -> ``spec.graphics``."""

from __future__ import annotations

from gaovm.project import fields, nodes
from gaovm.project.context import Context
from gaovm.spec.graphics import Graphics

_SIDE = (64, 8192)
# Lima's words that work here
_OFF = ("none", "")
_ON = ("default", "vnc")
# words for windows of QEMU's or of Apple's; options may follow, as in `gtk,gl=on`
_WINDOWS = ("cocoa", "curses", "dbus", "egl-headless", "gtk", "sdl", "spice-app", "vz")


def read(root: nodes.Table, context: Context) -> Graphics:
    """Read the display. Our own fields win over Lima's; without either the VM is headless."""
    own = fields.table(fields.table(fields.table(root, "vmOpts"), "gaovm"), "graphics")
    enabled = fields.boolean(own, "enabled")
    asked = _lima(fields.table(root, "video"), context)
    usual = Graphics()
    width = fields.bounded(own, "width", _SIDE, context.found)
    height = fields.bounded(own, "height", _SIDE, context.found)
    graphics = Graphics(
        enabled=asked if enabled is None else enabled,
        width=usual.width if width is None else width,
        height=usual.height if height is None else height,
    )
    if graphics.enabled:
        _check(root, context)
    return graphics


def _lima(video: nodes.Table, context: Context) -> bool:
    display = fields.scalar(video, "display")
    if display is None or display.text in _OFF:
        return False
    if display.text in _ON:
        return True
    known = display.text.partition(",")[0] in _WINDOWS
    what = "the VM has a display, in GaoVM's own window" if known else "the VM stays headless"
    context.found.warning(
        display, f"{display.text} has no effect: {what}; `default` gives it a display"
    )
    return known


def _check(root: nodes.Table, context: Context) -> None:
    """Refuse a display on machines and kernels without one. The builder checks every spec, too."""
    own = fields.table(fields.table(root, "vmOpts"), "gaovm")
    kernel, machine = fields.scalar(own, "kernel"), fields.scalar(own, "machine")
    if kernel is not None and kernel.text == "cloud":
        context.found.problem(
            kernel,
            "the cloud kernel has no display drivers; use generic, or switch graphics off",
            remedy="write kernel: generic",
        )
    if machine is not None and machine.text == "microvm":
        what = "a microvm has no display; use q35, or switch graphics off"
        context.found.problem(machine, what, remedy="write machine: q35")
