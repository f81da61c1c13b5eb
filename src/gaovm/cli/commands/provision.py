"""``gaovm provision``: a VM's scripts and probes once more, without a restart."""

from __future__ import annotations

from gaovm import errors
from gaovm.cli import options, output, progress, target
from gaovm.cli.commands import up

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def run(parsed: options.Parsed) -> int:
    """Run them as the project file has them now, where that is this project's VM."""
    name = target.vm_name(parsed)
    params: dict[str, Any] = {"name": name}
    with target.connect() as client:
        project = target.find_project()
        if project is not None and target.is_of(client, name, project):
            params["project"] = up.project_params(project, None)
        result = _call(client, params, parsed)
    for warning in result.get("warnings") or ():
        output.err(output.harmless(f"warning: {warning}"))
    if parsed.flag("json"):
        output.json_out(result)
    elif not parsed.flag("quiet"):
        output.err(output.harmless(f"{result['vm']['name']} is provisioned"))
    return 0


def _call(client: Any, params: dict[str, Any], parsed: options.Parsed) -> Any:
    effect = "the scripts go on"
    while True:
        try:
            with progress.to_stderr(quiet=parsed.flag("quiet")) as show:
                return target.long_call(client, "vm.provision", params, show, None, effect)
        except errors.ApprovalNeeded as error:
            from gaovm.cli import approval

            file = params["project"]
            file["approve"] = approval.given(error, file, yes=parsed.flag("yes"))


PROVISION = options.Command(
    "provision",
    run,
    about="Run the provision scripts and probes of a VM that runs once more, as its project file\n"
    "has them now, and wait for them. Their output: gaovm logs --provision.",
    words="[NAME]",
    count=(0, 1),
    options=(
        options.NAME,
        options.Option("-y, --yes", "approve what the file lets the VM reach on this machine"),
        options.JSON,
        options.QUIET,
    ),
    examples=("gaovm provision", "gaovm provision web-dev"),
)
