"""``gaovm stop`` and ``gaovm destroy``."""

from __future__ import annotations

import sys

from gaovm import errors
from gaovm.cli import options, output, progress, target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def stop(parsed: options.Parsed) -> int:
    """Shut a VM down; done already is success."""
    params: dict[str, Any] = {"name": target.vm_name(parsed)}
    if parsed.flag("force"):
        params["force"] = True
    if parsed.flag("timeout"):
        params["timeout_s"] = parsed.seconds("timeout")
    with target.connect() as client, progress.to_stderr(quiet=parsed.flag("quiet")) as show:
        vm = target.call(client, "vm.stop", params, on_progress=show.update)
    if parsed.flag("json"):
        output.json_out(vm)
    elif not parsed.flag("quiet"):
        output.err(f"{vm['name']} is {vm['state']}")
    return 0


def destroy(parsed: options.Parsed) -> int:
    """Remove a VM after asking."""
    name = target.vm_name(parsed)
    if not parsed.flag("yes") and not sys.stdin.isatty():
        raise errors.UsageError(
            "destroy asks before it removes a VM, and standard input is no terminal",
            remedy=f"gaovm destroy -y {name}",
        )
    with target.connect() as client:
        vm = target.call(client, "vm.status", {"name": name})
        question = f"Remove the VM {name} ({vm['state']}) and everything on its disk?"
        if not parsed.flag("yes") and not output.confirm(question):
            output.err("nothing was removed")
            return 1
        with progress.to_stderr(quiet=parsed.flag("quiet")) as show:
            result = target.call(client, "vm.destroy", {"name": name}, on_progress=show.update)
    if parsed.flag("json"):
        output.json_out(result)
    elif not parsed.flag("quiet"):
        output.err(f"{name} is removed, {output.size(result.get('freed_bytes'))} freed")
    return 0


STOP = options.Command(
    "stop",
    stop,
    about="Shut the VM down: the guest first gets the chance to end in order. The disk stays.",
    words="[NAME]",
    count=(0, 1),
    options=(
        options.NAME,
        options.Option("-f, --force", "do not wait for the guest"),
        options.Option(
            "--timeout", "wait this long for the guest, then force", value="TIME", kind="duration"
        ),
        options.JSON,
        options.QUIET,
    ),
    examples=("gaovm stop", "gaovm stop web-dev", "gaovm stop --force"),
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
