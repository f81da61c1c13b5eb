"""``gaovm explain``: the hypervisor's command line of this project's VM, without a daemon.

The same pure builder makes the document that a driver starts the VM from.
"""

from __future__ import annotations

from gaovm import errors
from gaovm.cli import calls, options, output, project_dir, target
from gaovm.cli.commands import up
from gaovm.client import paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from gaovm.builder.document import Document
    from gaovm.model.facts import HostFacts
    from gaovm.project import config


def run(parsed: options.Parsed) -> int:
    """Print the command line; descriptors made at run time are shown as ``<fd:name>``."""
    from pathlib import Path

    from gaovm.builder import backends, fit
    from gaovm.hostfacts import admission, boot_files, cage, facts
    from gaovm.project import overrides

    home = Path(calls.home())
    host = facts.collect(home)
    name, layer = known(parsed)
    loaded = load(parsed, host, name)
    admission.check(loaded, home)
    spec = overrides.apply(loaded.spec, layer)
    build = backends.builder(spec.boot.backend).build
    files = boot_files.find(home, spec)
    built = build(spec, host, files)
    for warning in (*loaded.warnings, *fit.check(spec, host)):
        output.err(output.harmless(f"warning: {warning}"))
    if parsed.flag("json"):
        output.json_out(data(spec.name, built, host_access=spec.network.host_access))
    else:
        if layer:
            output.out(output.harmless(f"# set over the project file: {', '.join(layer)}"))
        output.out(f"# machine {built.machine.name}: {built.machine.reason}")
        output.out(f"# accelerator {built.accelerator.name}: {built.accelerator.reason}")
        if files.loader_reason:
            output.out(f"# boot {files.loader}: {files.loader_reason}")
        output.out(f"# network {built.network.name}: {built.network.reason}")
        if absent := cage.absence():
            output.out(f"# cage none: {absent}")
        for share in built.shares:
            output.out(f"# {share.mount_point} by {share.type}: {share.reason}")
        for file in built.files:
            mode = "read and written" if file.writable else "read"
            output.out(output.harmless(f"# <fd:{file.fd}> is {file.path}, {mode}"))
        output.out(" \\\n".join(built.lines()))
    return 0


def known(parsed: options.Parsed) -> tuple[str, dict[str, Any]]:
    """The VM's name, and what ``gaovm set`` has put over its file, as far as a daemon can tell.

    Raises:
        errors.NameTaken: the VM is another project's.
    """
    name, project = target.vm_name(parsed), project_dir.need_project()
    try:
        with calls.connect(start=False) as client:
            vm = client.call("vm.status", target.about(name))
            if not target.is_of(client, name, project):
                raise errors.NameTaken(
                    f"the name {name!r} is taken by {vm.get('project') or 'another VM'}",
                    remedy="give the name of a VM of this project",
                )
    except (errors.DaemonUnreachable, errors.VmNotFound):
        return name, {}
    layer: dict[str, Any] = vm.get("overrides", {})
    return str(vm["name"]), layer


def load(parsed: options.Parsed, host: HostFacts, name: str) -> config.Loaded:
    """This project's file, read as ``gaovm up`` has it read."""
    from pathlib import Path

    from gaovm.hostfacts import sources
    from gaovm.project import config, context

    project = project_dir.need_project()
    who = up.caller()
    caller = context.Caller(
        name=who["name"], uid=who["uid"], gid=who["gid"], home=who["home"], comment=who["comment"]
    )
    where = context.Host(arch=host.arch, vm_dir=paths.vm_dir(calls.home(), name))
    given = not isinstance(target.vm_name(parsed), target.ProjectVm)
    return config.load(
        project.text(),
        project.config,
        caller,
        project.directory,
        name,
        where,
        given=given,
        resolver=sources.Files(Path(calls.home()), project.directory),
    )


def data(name: str, built: Document, *, host_access: bool) -> dict[str, Any]:
    """The document as ``--json`` prints it."""
    return {
        "name": name,
        **built.data(),
        "machine": {"name": built.machine.name, "reason": built.machine.reason},
        "accelerator": {"name": built.accelerator.name, "reason": built.accelerator.reason},
        "network": {
            "type": built.network.name,
            "reason": built.network.reason,
            "host_access": host_access,
        },
        "files": [
            {"fd": file.fd, "path": file.path, "writable": file.writable} for file in built.files
        ],
        "mounts": [
            {
                "location": s.location,
                "mount_point": s.mount_point,
                "type": s.type,
                "reason": s.reason,
            }
            for s in built.shares
        ],
    }


EXPLAIN = options.Command(
    "explain",
    run,
    about="Print the hypervisor's exact command line for this project's VM, and why machine,\n"
    "accelerator and mounts are what they are. Starts nothing, needs no daemon; but it asks a\n"
    "running daemon for the values of `gaovm set`. It shows a file that does not exist yet\n"
    "as <image:...>, and a descriptor made at run time as <fd:...>.",
    words="[NAME]",
    count=(0, 1),
    options=(options.NAME, options.JSON),
    examples=("gaovm explain", "gaovm explain --json"),
)
