"""``gaovm start``, ``stop``, ``restart``, ``pause``, ``resume``, ``destroy``: a VM that exists."""

from __future__ import annotations

import sys

from gaovm import errors
from gaovm.cli import calls, options, output, progress, target, waiting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def start(parsed: options.Parsed) -> int:
    """Start a VM that exists, and wait until it runs; Ctrl-C asks, as in ``up``."""
    params = {"name": target.vm_name(parsed), "wait": waiting.until_ready(parsed)}
    with calls.connect() as client:
        result = waiting.bring_up(client, "vm.start", params, parsed)
    return _say(result, parsed, params["name"])


def restart(parsed: options.Parsed) -> int:
    """Stop a VM and start it again; it also starts if we or the daemon crash in between."""
    params = {"name": target.vm_name(parsed), "wait": waiting.until_ready(parsed)}
    params.update(_stop_params(parsed))
    effect = "the restart goes on"
    with calls.connect() as client, progress.to_stderr(quiet=parsed.flag("quiet")) as show:
        result = waiting.long_call(client, "vm.restart", params, show, None, effect)
    return _say(result, parsed, params["name"])


def _say(result: dict[str, Any], parsed: options.Parsed, name: str) -> int:
    vm = result["vm"]
    if parsed.flag("json"):
        output.json_out(result)
    elif not parsed.flag("quiet"):
        already = " already" if result.get("already") else ""
        resume = target.command("resume", name)
        paused = f"; it is paused: `{resume}` lets it go on" if vm.get("paused") else ""
        output.err(f"{vm['name']} is {vm['state']}{already}{paused}")
    return 0


def _stop_params(parsed: options.Parsed) -> dict[str, Any]:
    params: dict[str, Any] = {}
    if parsed.flag("force"):
        params["force"] = True
    if parsed.flag("timeout"):
        params["timeout_s"] = parsed.seconds("timeout")
    return params


def stop(parsed: options.Parsed) -> int:
    """Shut a VM down; done already is success."""
    params = {"name": target.vm_name(parsed), **_stop_params(parsed)}
    if parsed.flag("no-wait"):
        params["wait"] = "none"
    with calls.connect() as client, progress.to_stderr(quiet=parsed.flag("quiet")) as show:
        vm = calls.call(client, "vm.stop", params, on_progress=show.update)
    if parsed.flag("json"):
        output.json_out(vm)
    elif not parsed.flag("quiet"):
        never = vm["first_up"] != "done"
        state = "stopped; its first `gaovm up` never finished" if never else vm["state"]
        output.err(f"{vm['name']} is {state}")
    return 0


def pause(parsed: options.Parsed) -> int:
    """Make the guest stand still; done already is success."""
    return _hold(parsed, "vm.pause", "is paused")


def resume(parsed: options.Parsed) -> int:
    """Let a paused guest go on; done already is success."""
    return _hold(parsed, "vm.resume", "goes on")


def _hold(parsed: options.Parsed, method: str, done: str) -> int:
    with calls.connect() as client:
        vm = calls.call(client, method, {"name": target.vm_name(parsed)})
    if parsed.flag("json"):
        output.json_out(vm)
    elif not parsed.flag("quiet"):
        output.err(f"{vm['name']} {done}")
    return 0


def destroy(parsed: options.Parsed) -> int:
    """Remove a VM after asking."""
    name = target.vm_name(parsed)
    if not parsed.flag("yes") and not sys.stdin.isatty():
        raise errors.UsageError(
            "destroy asks before it removes a VM, and standard input is no terminal",
            remedy=target.command("destroy -y", name),
        )
    with calls.connect() as client:
        vm = calls.call(client, "vm.status", {"name": name})
        name = str(vm["name"])
        question = f"Remove the VM {name} ({vm['state']}) and everything on its disk?"
        if not parsed.flag("yes") and not output.confirm(question):
            output.err("nothing was removed")
            return 1
        with progress.to_stderr(quiet=parsed.flag("quiet")) as show:
            result = calls.call(client, "vm.destroy", {"name": name}, on_progress=show.update)
    if parsed.flag("json"):
        output.json_out(result)
    elif not parsed.flag("quiet"):
        output.err(f"{name} is removed, {output.size(result.get('freed_bytes'))} freed")
    return 0


_FORCE = options.Option("-f, --force", "do not wait for the guest")
_GRACE = options.Option(
    "--timeout", "wait this long for the guest, then force", value="TIME", kind="duration"
)

START = options.Command(
    "start",
    start,
    about="Start a VM that exists, as it was last configured. From now on it should run: the\n"
    "daemon restarts it when it dies (see vmOpts.gaovm.restart). Ctrl-C undoes the start; once\n"
    "the agent has answered, it asks.",
    words="[NAME]",
    count=(0, 1),
    options=(
        options.NAME,
        waiting.WAIT,
        waiting.NO_WAIT,
        waiting.TIMEOUT,
        waiting.UNDO,
        waiting.KEEP,
        options.JSON,
        options.QUIET,
    ),
    examples=("gaovm start", "gaovm start web-dev --no-wait"),
)

STOP = options.Command(
    "stop",
    stop,
    about="Shut the VM down: the guest first gets the chance to end in order. The disk stays.",
    words="[NAME]",
    count=(0, 1),
    options=(options.NAME, _FORCE, _GRACE, waiting.NO_WAIT, options.JSON, options.QUIET),
    examples=("gaovm stop", "gaovm stop web-dev", "gaovm stop --force"),
)

RESTART = options.Command(
    "restart",
    restart,
    about="Stop the VM and start it again; changes of its config that wait for a restart apply.",
    words="[NAME]",
    count=(0, 1),
    options=(
        options.NAME,
        _FORCE,
        _GRACE,
        waiting.WAIT,
        waiting.NO_WAIT,
        options.JSON,
        options.QUIET,
    ),
    examples=("gaovm restart", "gaovm restart web-dev --wait=agent"),
)

PAUSE = options.Command(
    "pause",
    pause,
    about="Make the VM stand still: its processors and its clock stop, its memory stays.\n"
    "Nothing in it answers until `gaovm resume`; a stop resumes it first.",
    words="[NAME]",
    count=(0, 1),
    options=(options.NAME, options.JSON, options.QUIET),
    examples=("gaovm pause", "gaovm pause web-dev"),
)

RESUME = options.Command(
    "resume",
    resume,
    about="Let a paused VM go on; its clock is set to the host's. A VM is also paused when its\n"
    "disk could not be written on the host, and by vmOpts.gaovm.watchdog.onHang: pause.",
    words="[NAME]",
    count=(0, 1),
    options=(options.NAME, options.JSON, options.QUIET),
    examples=("gaovm resume", "gaovm resume web-dev"),
)

DESTROY = options.Command(
    "destroy",
    destroy,
    about="Remove the VM, its disk and its logs. Project files and images stay.",
    words="[NAME]",
    count=(0, 1),
    options=(
        options.NAME,
        options.Option("-y, --yes", "do not ask"),
        options.JSON,
        options.QUIET,
    ),
    examples=("gaovm destroy", "gaovm destroy -y web-dev"),
)
