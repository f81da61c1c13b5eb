"""The window's process: ``python -m gaovm.display --vnc-fd N --title TEXT``; see ``window.run``.

Descriptor N is a socket that is connected to a VNC server. The process reads commands from stdin
and writes reports to stdout: ``open`` and ``size`` {width, height}, ``closed`` (by the user),
``ended`` (the server is gone), ``failed`` {code, message, remedy, actions?}. This contract may only
grow: after an upgrade a driver of the old version starts the window of the new one.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import sys

_MISSING: dict[str, object] = {
    "is": "failed",
    "code": "program_missing",
    "message": "the display window needs PySide6, which is not installed",
    "remedy": "pip install 'gaovm[desktop]'",
}
_NO_DESKTOP: dict[str, object] = {
    "is": "failed",
    "code": "host_error",
    "message": "there is no desktop for a window: neither DISPLAY nor WAYLAND_DISPLAY is set",
    "remedy": "call it from a desktop session; a screenshot works without one",
    "actions": [{"code": "take_screenshot", "args": {}}],
}


def _say(message: dict[str, object]) -> int:
    os.write(1, json.dumps(message).encode() + b"\n")
    return 1


def main(argv: list[str]) -> int:
    """Show the window until it ends; return the exit status."""
    if len(argv) != 4 or argv[0] != "--vnc-fd" or argv[2] != "--title" or not argv[1].isdecimal():
        sys.stderr.write("usage: python -m gaovm.display --vnc-fd N --title TEXT\n")
        return 2
    # Ctrl-C in the daemon's terminal is not for this process. Qt aborts when its server goes away,
    # which should leave no core file.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    desktop = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if sys.platform.startswith("linux") and not desktop and "QT_QPA_PLATFORM" not in os.environ:
        return _say(_NO_DESKTOP)
    try:
        from gaovm.display import window
    except ImportError as exc:
        missing = exc.name is not None and exc.name.partition(".")[0] in ("PySide6", "shiboken6")
        if not missing:
            from gaovm.builder import packages

            # PySide6 is installed, but a system library that it needs is not
            remedy = packages.remedy(*packages.WINDOW)
            return _say({**_MISSING, "message": f"the display window: {exc}", "remedy": remedy})
        return _say(_MISSING)
    return window.run(socket.socket(fileno=int(argv[1])), 0, argv[3])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
