"""``gaovm daemon start | stop | upgrade | status | run``."""

from __future__ import annotations

import os
import sys

from gaovm import errors, version
from gaovm.cli import calls, options, output, progress, waiting
from gaovm.client import paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from gaovm.client import blocking
    from gaovm.platform import exits


def start(parsed: options.Parsed) -> int:
    """Start the daemon when it does not run; running already is success."""
    with calls.connect() as client:
        found = client.call("daemon.status", {})
    return _show(parsed, found)


def status(parsed: options.Parsed) -> int:
    """Show the daemon; never starts it."""
    with calls.connect(start=False) as client:
        found = client.call("daemon.status", {})
    return _show(parsed, found)


def stop(parsed: options.Parsed) -> int:
    """Stop the VMs in order, then the daemon. Not running is success."""
    try:
        client = calls.connect(start=False)
    except errors.DaemonUnreachable:
        output.err("the daemon does not run")
        return 0
    with client, progress.to_stderr(quiet=parsed.flag("quiet")) as shown:
        end(client, shown)
    if not parsed.flag("quiet"):
        output.err("the daemon has stopped")
    return 0


def end(client: blocking.Client, shown: progress.Progress) -> None:
    """Stop the VMs in order, then the daemon; returns when its process is gone."""
    process = _watch(client.call("daemon.status", {}).get("pid"))
    client.call("daemon.stop", {}, on_progress=shown.update)
    client.wait_closed()
    _wait_ended(process)


def _watch(pid: object) -> exits.Exit | None:
    """Watch a process; None when it is gone already, or cannot be watched."""
    from gaovm.platform import exits

    try:
        return exits.watch(pid) if isinstance(pid, int) else None
    except OSError:
        return None


def _wait_ended(process: exits.Exit | None) -> None:
    # The socket closes some moments before the last file of the home is written.
    if process is not None:
        from gaovm.platform import exits

        exits.wait(process)
        process.close()


def upgrade(parsed: options.Parsed) -> int:
    """Let the daemon execute the code that is installed now; VMs and sessions go on."""
    seconds = parsed.seconds("timeout")
    params = {} if seconds is None else {"timeout_s": seconds}
    client = calls.connect(start=False)
    with client, progress.to_stderr(quiet=parsed.flag("quiet")) as shown:
        result = _upgraded(client, params, shown)
    if parsed.flag("json"):
        output.json_out(result)
    else:
        old, new = result.get("old_version"), result.get("new_version")
        versions = f"{old} -> {new}" if old != new else f"version {new} as before"
        output.out(f"gaovmd upgraded, {versions}, pid {result.get('pid')}")
        output.out(f"  VMs          {result.get('vms')} taken over")
        output.out(f"  connections  {result.get('clients')} taken over")
    if result.get("new_version") != version.VERSION:
        output.err(
            f"this gaovm is version {version.VERSION}, the daemon runs {result.get('python')}:\n"
            "  `gaovm daemon stop`, then `gaovm daemon start`, changes to this installation"
        )
    return 0


def _upgraded(
    client: blocking.Client, params: Mapping[str, Any], shown: progress.Progress
) -> Mapping[str, Any]:
    try:
        result: Mapping[str, Any] = waiting.long_call(client, "daemon.upgrade", params, shown, None)
    except errors.ConnectionLost as exc:
        raise errors.ConnectionLost(
            "the daemon ended during the upgrade; its VMs are shut down",
            remedy="see `gaovm logs --daemon`; `gaovm daemon start` starts what should run",
        ) from exc
    except errors.CapabilityError as exc:
        raise errors.CapabilityError(
            "the daemon that runs cannot be upgraded: it is too old",
            remedy="`gaovm daemon stop`, then `gaovm daemon start`: the VMs are started again",
        ) from exc
    return result


def run(parsed: options.Parsed) -> int:
    """Become the daemon, in the foreground."""
    sys.stdout.flush()
    argv = [sys.executable, "-m", "gaovm.daemon", "--foreground"]
    os.execv(sys.executable, argv)


def _show(parsed: options.Parsed, found: Mapping[str, Any]) -> int:
    from gaovm.cli.commands import units  # few commands want them

    unit = units.state(paths.home())
    if parsed.flag("json"):
        output.json_out({**found, "unit": unit})
        return 0
    vms = found.get("vms") or {}
    output.out(f"gaovmd {found.get('version')} runs, pid {found.get('pid')}")
    output.out(f"  home    {found.get('home')}")
    output.out(f"  since   {found.get('started_at')}")
    output.out(f"  VMs     {vms.get('running', 0)} running of {vms.get('total', 0)}")
    recovered = found.get("recovered")
    if recovered:
        output.out(f"  state   recovered from the copy of {recovered.get('copied_at')}")
        output.out(output.harmless(f"          {recovered.get('reason')}"))
    for name in found.get("quarantined_vms") or ():
        output.out(output.harmless(f"  state   the record of VM {name} was damaged; see the log"))
    output.out(f"  memory  {output.size(found.get('rss_bytes'))}")
    stalls = found.get("stalls") or {}
    if stalls.get("count"):
        longest = output.duration(float(stalls.get("longest_s") or 0))
        output.out(f"  stalls  {stalls['count']}, the longest {longest}; see gaovm logs --daemon")
    enabled = f"{unit['path']}, enabled" if unit["enabled"] else "none (gaovm daemon enable)"
    output.out(f"  unit    {enabled}")
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
    about="Stop every VM in order, then the daemon. The next daemon starts the VMs that ran.",
    options=(options.QUIET,),
    examples=("gaovm daemon stop",),
)

UPGRADE = options.Command(
    "daemon upgrade",
    upgrade,
    about=(
        "Let the daemon go on with the code that is installed now, in the same process.\n"
        "Running VMs, open shells and followed events go on undisturbed. If the new code cannot\n"
        "take over, nothing changes, and gaovm says why."
    ),
    options=(
        options.Option(
            "--timeout",
            "wait this long for operations under way (default: 60s)",
            value="TIME",
            kind="duration",
        ),
        options.JSON,
        options.QUIET,
    ),
    examples=("pip install --upgrade gaovm && gaovm daemon upgrade", "gaovm daemon upgrade --json"),
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
