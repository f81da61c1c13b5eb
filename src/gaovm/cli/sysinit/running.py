"""The verbs of ``sysinit-vm`` that speak to the daemon about the project's VM."""

from __future__ import annotations

import os
import sys

from gaovm import errors
from gaovm.cli import calls, output, project_dir, target
from gaovm.cli.sysinit import lines, say
from gaovm.project import names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from gaovm.client import blocking

HEAD = ("NAME", "STATUS", "ARCH", "CPUS", "MEMORY", "DISK", "PORTS", "DIR")
#: States in which commands run in the guest, or wait until they do.
_RUNNING = ("running", "degraded", "interrupted")
_BROKEN = ("failed", "first-up-failed")
_NOT_FOUND = 127


def start(words: list[str]) -> int:
    """Make or start the VM of the project's config file."""
    _need_config()
    with calls.connect() as client:
        _start(client)
    say.info("VM started. Connect with: sysinit-vm shell")
    return 0


def stop(words: list[str]) -> int:
    """Shut the VM down; done already is success."""
    with calls.connect() as client:
        name = _existing(client)["name"]
        say.info(f"Stopping VM: {name}")
        client.call("vm.stop", {"name": name})
    return 0


def shell(words: list[str]) -> int:
    """Attach to the project's session in the VM; start the VM first where it does not run."""
    with calls.connect() as client:
        vm = _find(client)
        if vm is None or vm["state"] not in _RUNNING:
            _need_config()
            say.warn("VM not running. Starting...")
            vm = _start(client)
    from gaovm.cli.commands import attaching

    tty = _on_terminal()
    say.info(f"Connecting to {vm['name']} (Zellij will auto-attach)...")
    return _in_guest(attaching.argv() if tty else [], tty=tty)


def execute(words: list[str]) -> int:
    """Run a command in the VM, and exit with its status."""
    argv = words[1:] if words[:1] == ["--"] else words
    if not argv:
        raise errors.UsageError("Usage: sysinit-vm exec <command>")
    _need_running()
    return _in_guest(lines.command(argv), tty=_on_terminal())


def status(words: list[str]) -> int:
    """Show one line about the VM; that there is none is no failure."""
    with calls.connect() as client:
        vm = _find(client)
    if vm is None:
        say.warn(f"VM not found: {_name()}")
    else:
        output.out(output.table(HEAD, [row(vm)]))
    return 0


def destroy(words: list[str]) -> int:
    """Remove the VM after a question, in whatever state it is."""
    with calls.connect() as client:
        name = _existing(client)["name"]
        say.warn(f"This will permanently delete VM: {name}")
        if not say.ask("Are you sure?"):
            return 0
        client.call("vm.destroy", {"name": name})
    say.info(f"VM destroyed: {name}")
    return 0


def sync(words: list[str]) -> int:
    """Run the config's ``sync`` command in the VM."""
    return _upkeep("sync", "Syncing home-manager config to VM...", "Config synced")


def rebuild(words: list[str]) -> int:
    """Run the config's ``rebuild`` command in the VM."""
    return _upkeep("rebuild", "Rebuilding NixOS system in VM...", "Rebuild complete")


def row(vm: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the VM's line of the table, with Lima's word for its state."""
    from gaovm.cli.commands import listing

    ports = listing.row(vm)[listing.HEAD.index("PORTS")]
    return (
        str(vm["name"]),
        word(vm),
        str(vm.get("arch") or "-"),
        str(vm.get("cpus") or "-"),
        output.size(vm.get("memory_bytes")),
        output.size(vm.get("disk_bytes")),
        ports,
        listing.short_path(str(vm.get("project") or "-")),
    )


def word(vm: Mapping[str, Any]) -> str:
    """Return Running, Stopped, Broken, or what the VM is doing in between."""
    state = str(vm["state"])
    if vm.get("paused"):
        return "Paused"
    if state in _RUNNING:
        return "Running"
    return "Broken" if state in _BROKEN else state.capitalize()


def _upkeep(kind: str, before: str, after: str) -> int:
    _need_running()
    line = _line(kind)
    say.info(before)
    code = _in_guest(lines.if_there(line), tty=_on_terminal())
    if code == _NOT_FOUND:
        raise errors.UsageError(
            f"The VM has no {lines.program(line)}, so `sysinit-vm {kind}` cannot run: {line}",
            remedy=f"install it in the VM, or set vmOpts.gaovm.{kind} in .lima/config.yaml",
        )
    if code:
        say.error(f"`{line}` ended with {code}")
        return code
    say.info(after)
    return 0


def _line(kind: str) -> str:
    """Return the command that the project's config sets for ``sync`` or ``rebuild``."""
    from pathlib import Path

    from gaovm.hostfacts import sources
    from gaovm.project import config, problems, upkeep

    project = project_dir.find_project()
    if project is None:
        return upkeep.DEFAULTS[kind]
    found = problems.Findings(project.config)
    files = sources.Files(Path(calls.home()), project.directory)
    home = str(Path.home())
    root = config.tree(project.text(), project.config, home, project.directory, files, found)
    found.finish()
    return upkeep.command(root, kind)


def _name() -> str:
    """Return the VM meant: ``VM_NAME``, else the VM of the project here or above.

    Raises:
        errors.UsageError: ``VM_NAME`` breaks the rule of names.
    """
    given = os.environ.get("VM_NAME")
    if given:
        return names.check(given)
    found = project_dir.find_project()
    return target.ProjectVm(found or project_dir.Project(project_dir.working_directory()))


def _find(client: blocking.Client) -> Mapping[str, Any] | None:
    try:
        vm: Mapping[str, Any] = client.call("vm.status", target.about(_name()))
    except errors.VmNotFound:
        return None
    return vm


def _existing(client: blocking.Client) -> Mapping[str, Any]:
    vm = _find(client)
    if vm is None:
        raise errors.UsageError(f"VM not found: {_name()}")
    return vm


def _need_config() -> None:
    if project_dir.find_project() is None:
        raise errors.UsageError("No .lima/config.yaml found. Run 'sysinit-vm init' first.")


def _need_running() -> None:
    with calls.connect() as client:
        vm = _find(client)
    if vm is None or vm["state"] not in _RUNNING:
        raise errors.UsageError("VM not running. Start with 'sysinit-vm start'")


def _start(client: blocking.Client) -> Mapping[str, Any]:
    """Bring the project's VM up, as ``gaovm up`` does, and return its status."""
    from gaovm.cli import waiting
    from gaovm.cli.commands import status as gaovm_status
    from gaovm.cli.commands import up

    known = _find(client)
    say.info(f"Starting VM: {known['name'] if known else _name()}")
    parsed = up.UP.parse([])
    method, params = up.request(client, parsed, "ready")
    result = waiting.bring_up(client, method, params, parsed)
    for warning in result.get("warnings") or ():
        say.warn(warning)
    vm: Mapping[str, Any] = result["vm"]
    for port in vm.get("ports") or ():
        say.info(f"  port {gaovm_status.port_way(port)}")
    return vm


def _on_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _in_guest(argv: list[str], *, tty: bool) -> int:
    from gaovm.cli.commands import run

    start = {"argv": argv, "tty": tty, "login": bool(argv)}
    return run.open_in(run.SHELL.parse([]), start)
