"""``gaovm daemon start | stop | status | run``."""

from __future__ import annotations

import os
import sys

from gaovm import errors
from gaovm.cli import options, output, progress, target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


def start(parsed: options.Parsed) -> int:
    """Start the daemon when it does not run; running already is success."""
    with target.connect() as client:
        found = client.call("daemon.status", {})
    return _show(parsed, found)


def status(parsed: options.Parsed) -> int:
    """Show the daemon; never starts it."""
    with target.connect(start=False) as client:
        found = client.call("daemon.status", {})
    return _show(parsed, found)


def stop(parsed: options.Parsed) -> int:
    """Stop the VMs in order, then the daemon. Not running is success."""
    try:
        client = target.connect(start=False)
    except errors.DaemonUnreachable:
        output.err("the daemon does not run")
        return 0
    with client, progress.to_stderr(quiet=parsed.flag("quiet")) as shown:
        client.call("daemon.stop", {}, on_progress=shown.update)
        client.wait_closed()
    if not parsed.flag("quiet"):
        output.err("the daemon has stopped")
    return 0


def run(parsed: options.Parsed) -> int:
    """Become the daemon, in the foreground."""
    sys.stdout.flush()
    argv = [sys.executable, "-m", "gaovm.daemon", "--foreground"]
    os.execv(sys.executable, argv)


def _show(parsed: options.Parsed, found: Mapping[str, Any]) -> int:
    if parsed.flag("json"):
        output.json_out(found)
        return 0
    vms = found.get("vms") or {}
    output.out(f"gaovmd {found.get('version')} runs, pid {found.get('pid')}")
    output.out(f"  home    {found.get('home')}")
    output.out(f"  since   {found.get('started_at')}")
    output.out(f"  VMs     {vms.get('running', 0)} running of {vms.get('total', 0)}")
    output.out(f"  memory  {output.size(found.get('rss_bytes'))}")
    return 0


START = options.Command(
    "daemon start",
    start,
    about="Start the daemon. Every command that needs it does this by itself.",
    options=(options.JSON,),
    examples=("gaovm daemon start",),
)

STOP = options.Command(
    "daemon stop",
    stop,
    about="Stop every VM in order, then the daemon. VMs that ran are started again with it.",
    options=(options.QUIET,),
    examples=("gaovm daemon stop",),
)

STATUS = options.Command(
    "daemon status",
    status,
    about="Show the daemon. Exit status 3 when it does not run.",
    options=(options.JSON,),
    examples=("gaovm daemon status --json",),
)

RUN = options.Command(
    "daemon run",
    run,
    about="Run the daemon in the foreground, with its log on standard error.",
    examples=("gaovm daemon run",),
)
