"""``gaovm adopt``: give this directory a VM whose own directory is out of our sight."""

from __future__ import annotations

from gaovm.cli import calls, options, output, project_dir
from gaovm.cli.commands import listing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def run(parsed: options.Parsed) -> int:
    """List the VMs that have lost their directory; with NAME, take one over."""
    project = project_dir.need_project()
    params: dict[str, Any] = {"project_dir": project.directory}
    if (name := parsed.word()) is not None:
        params["name"] = name
    if parsed.flag("force"):
        params["force"] = True
    with calls.connect() as client:
        result = calls.call(client, "vm.adopt", params) if name else client.call("vm.adopt", params)
    if parsed.flag("json"):
        output.json_out(result)
    elif name is not None:
        output.out(output.harmless(f"{result['name']} is the VM of this directory now"))
        output.out("Next:  gaovm up      start it with this directory's file")
    elif result["lost"]:
        rows = [listing.row(vm) for vm in result["lost"]]
        output.out(output.harmless(output.table(listing.HEAD, rows)))
        output.out("Take one over:  gaovm adopt NAME")
    else:
        output.err("no VM has lost its directory")
    return 0


ADOPT = options.Command(
    "adopt",
    run,
    about="Give a VM to this project's directory. A VM belongs to its directory, even after that\n"
    "moved or got another name. But GaoVM cannot follow a move to another file system, or a\n"
    "directory restored from a backup. Without NAME, list the VMs whose directories are gone.",
    words="[NAME]",
    count=(0, 1),
    options=(
        options.Option("-f, --force", "also a VM whose directory is where it was"),
        options.JSON,
    ),
    examples=("gaovm adopt", "gaovm adopt web-dev"),
)
