"""``gaovm provision``: run a VM's scripts and probes again, without a restart."""

from __future__ import annotations

from gaovm.cli import calls, options, output, progress, project_dir, target, waiting
from gaovm.cli.commands import up

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from gaovm.client import blocking


def run(parsed: options.Parsed) -> int:
    """Run them; for this project's VM, as its file has them now."""
    name = target.vm_name(parsed)
    params: dict[str, Any] = {"name": name}
    with calls.connect() as client:
        project = project_dir.find_project()
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


def _call(client: blocking.Client, params: dict[str, Any], parsed: options.Parsed) -> Any:
    def ask(show: progress.Progress) -> Any:
        effect = "the scripts go on"
        return waiting.long_call(client, "vm.provision", params, show, None, effect)

    return waiting.approved(ask, params.get("project", {}), parsed)


PROVISION = options.Command(
    "provision",
    run,
    about="Run the provision scripts and probes of a running VM again, as its project file has\n"
    "them now, and wait for them. Their output: gaovm logs --provision.",
    words="[NAME]",
    count=(0, 1),
    options=(
        options.NAME,
        waiting.YES,
        options.JSON,
        options.QUIET,
    ),
    examples=("gaovm provision", "gaovm provision web-dev"),
)
