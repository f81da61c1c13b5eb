"""``gaovm display open | close | status | screenshot``."""

from __future__ import annotations

import os

from gaovm import errors
from gaovm.cli import calls, options, output, target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

# these name the caller's desktop; the daemon's own environment may be older
SEAT = (
    "DISPLAY",
    "XAUTHORITY",
    "WAYLAND_DISPLAY",
    "XDG_RUNTIME_DIR",
    "XDG_SESSION_TYPE",
    "XDG_CURRENT_DESKTOP",
    "QT_QPA_PLATFORM",
    "QT_SCALE_FACTOR",
    "XCURSOR_SIZE",
    "XCURSOR_THEME",
)
_LIMIT_S = 60.0


def open_window(parsed: options.Parsed) -> int:
    """Open the window, or bring it to the front."""
    params = {"name": target.vm_name(parsed), "seat": seat()}
    with calls.connect() as client:
        status = calls.call(client, "vm.display.open", params, timeout_s=_LIMIT_S)
    return _show(parsed, status)


def close_window(parsed: options.Parsed) -> int:
    """Close the window."""
    with calls.connect() as client:
        params = {"name": target.vm_name(parsed)}
        status = calls.call(client, "vm.display.close", params, timeout_s=_LIMIT_S)
    return _show(parsed, status)


def show(parsed: options.Parsed) -> int:
    """Tell whether there is a display and a window."""
    with calls.connect() as client:
        params = {"name": target.vm_name(parsed)}
        status = calls.call(client, "vm.display.status", params, timeout_s=_LIMIT_S)
    return _show(parsed, status)


def screenshot(parsed: options.Parsed) -> int:
    """Write the picture to the caller's file."""
    name = target.vm_name(parsed)
    wanted = parsed.text("output")
    with calls.connect() as client:
        taken = calls.call(client, "vm.display.screenshot", {"name": name}, timeout_s=_LIMIT_S)
    shared = taken.pop("shared", ())
    data = _read(str(taken["path"]))
    if wanted == "-":
        import sys

        sys.stdout.buffer.write(data)
        return 0
    path = os.path.abspath(wanted or f"{taken['name']}.png")  # noqa: PTH100  (pathlib costs 5 ms)
    _write(path, data, shared)
    about = {**taken, "path": path, "size_bytes": len(data)}
    if parsed.flag("json"):
        output.json_out(about)
    else:
        output.out(path)
        output.err(f"{about['width']} x {about['height']}, {output.size(len(data))}")
    return 0


def seat() -> dict[str, str]:
    """Return the variables that name the caller's desktop, for the daemon.

    Raises:
        errors.HostError: there is none.
    """
    import sys

    found = {name: os.environ[name] for name in SEAT if os.environ.get(name)}
    named = any(name in found for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"))
    if sys.platform.startswith("linux") and not named:
        raise errors.HostError(
            "there is no desktop here: neither DISPLAY nor WAYLAND_DISPLAY is set",
            remedy="call it in a desktop session, or through ssh -X; "
            "gaovm display screenshot works without one",
        )
    return found


def _show(parsed: options.Parsed, status: dict[str, Any]) -> int:
    if parsed.flag("json"):
        output.json_out(status)
        return 0
    name, size = status["name"], f"{status['width']} x {status['height']}"
    if not status["enabled"]:
        output.out(f"{name}: headless")
        enable = target.command("set", target.vm_name(parsed), "graphics.enabled=true")
        output.err(f"It gets a display by:  {enable}  and a restart")
    elif status["open"]:
        output.out(f"{name}: window open, {size}")
    else:
        output.out(f"{name}: window closed, {size}")
    return 0


def _read(path: str) -> bytes:
    try:
        # the driver, which hears the guest, writes in this directory
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
            return file.read()
    except OSError as exc:
        raise errors.HostError(f"cannot read {path}: {exc.strerror}") from exc


def _write(path: str, data: bytes, shared: Sequence[str]) -> None:
    from gaovm.client import below

    try:
        below.write(path, data, shared)
    except OSError as exc:
        raise errors.UsageError(
            f"cannot write {path}: {exc.strerror}", remedy="name another file with --output"
        ) from exc


OPEN = options.Command(
    "display open",
    open_window,
    about="Open a window with the VM's display, or bring the open one to the front. The window\n"
    "takes keyboard and pointer; closing it leaves the VM alone. It needs the desktop part:\n"
    "pip install 'gaovm[desktop]'. A VM is headless unless its file says otherwise\n"
    "(video.display: default), or you ran gaovm set graphics.enabled=true before its start.",
    words="[NAME]",
    count=(0, 1),
    options=(options.NAME, options.JSON),
    examples=("gaovm display open", "gaovm display open desktop-dev"),
)

CLOSE = options.Command(
    "display close",
    close_window,
    about="Close the window of the VM's display, if it is open. The VM goes on.",
    words="[NAME]",
    count=(0, 1),
    options=(options.NAME, options.JSON),
    examples=("gaovm display close",),
)

STATUS = options.Command(
    "display status",
    show,
    about="Show whether the VM has a display, its size, and whether the window is open.",
    words="[NAME]",
    count=(0, 1),
    options=(options.NAME, options.JSON),
    examples=("gaovm display status --json",),
)

SCREENSHOT = options.Command(
    "display screenshot",
    screenshot,
    about="Write what the VM's display shows to a PNG file: NAME.png here, or --output. Needs no\n"
    "window and no desktop.",
    words="[NAME]",
    count=(0, 1),
    options=(
        options.NAME,
        options.Option("-o, --output", "the file; - is standard output", value="FILE"),
        options.JSON,
    ),
    examples=("gaovm display screenshot", "gaovm display screenshot -o - | feh -"),
)
