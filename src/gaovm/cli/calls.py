"""Call the daemon about a VM; errors say what to do next."""

from __future__ import annotations

from gaovm import errors
from gaovm.cli import project_dir, target
from gaovm.client import blocking, paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from gaovm.ipc import blocking as wire


def connect(*, start: bool = True) -> blocking.Client:
    """Connect to the daemon; with ``start``, start it first if it does not run."""
    return blocking.connect(paths.home(), start=start)


def call(
    client: blocking.Client,
    method: str,
    params: Mapping[str, Any],
    *,
    timeout_s: float | None = None,
    on_progress: Callable[[Mapping[str, Any]], None] | None = None,
    interrupts: wire.Interrupts | None = None,
) -> Any:
    """Call a method about ``params["name"]``; an unknown name gets a suggestion."""
    sent = {**params, **target.about(params["name"])} if "name" in params else params
    try:
        return client.call(method, sent, timeout_s, on_progress, interrupts)
    except errors.VmNotFound as error:
        if "of_project" in sent:
            raise  # nobody typed the name, so nobody misspelt it
        raise with_suggestion(client, str(params.get("name", "")), error) from error
    except errors.GaoError as error:
        if "name" in params:
            name_vm(error, params["name"])
        raise


def name_vm(error: errors.GaoError, name: str) -> None:
    """Add the VM's name to the actions of an error, unless the user gave no name."""
    if not isinstance(name, target.ProjectVm):
        error.name_vm(name)


def with_suggestion(
    client: blocking.Client, name: str, error: errors.VmNotFound
) -> errors.VmNotFound:
    """Add a remedy: the VM whose name is most like the one that was typed, or this project's.

    Where nobody typed a name the daemon has already said what to do.
    """
    from gaovm.errors import suggestions

    if isinstance(name, target.ProjectVm):
        return error
    project = project_dir.find_project()
    about_here = {"of_project": project.directory} if project else {}
    listed = client.call("vm.list", about_here)
    own = sorted(listed.get("here", ()))
    meant = suggestions.did_you_mean(name, [str(vm["name"]) for vm in listed["vms"]])
    every = errors.Action("list_vms")
    error.remedy, error.actions = meant, ()
    if own and not meant:
        error.remedy, error.actions = f"this project's VM is called {own[0]}", (every,)
    elif not meant:
        error.actions = (errors.Action("make_vm"), every)
    return error


def real_name(name: str) -> str:
    """Return the VM's real name. Asks the daemon where one runs; never starts one.

    Raises:
        errors.VmNotFound: this project has none.
    """
    if isinstance(name, target.ProjectVm):
        try:
            with connect(start=False) as client:
                return str(call(client, "vm.status", {"name": name})["name"])
        except errors.DaemonUnreachable:
            return str(name)
    return name


def open_session(client: blocking.Client, name: str, kind: str) -> Mapping[str, Any]:
    """Ask the daemon for a ticket to a session in a running VM.

    Raises:
        errors.VmNotFound, errors.StateConflict, errors.GuestUnavailable: with what to do.
    """
    from gaovm.cli import output
    from gaovm.client import session

    def say(params: Mapping[str, Any]) -> None:
        output.err(output.harmless(f"gaovm: {params.get('message')}"))

    try:
        ticket = session.ask(client, target.about(name), kind, say)
        for notice in ticket.get("notices") or ():
            output.err(f"gaovm: {output.one_line(str(notice))}")
        return ticket
    except errors.VmNotFound as error:
        raise with_suggestion(client, name, error) from error
    except (errors.StateConflict, errors.GuestUnavailable) as error:
        if not error.actions:
            error.remedy = error.remedy or target.command("up", name)
        name_vm(error, name)
        raise
    except errors.GaoError as error:
        name_vm(error, name)
        raise


def home(*, write: bool = False) -> str:
    """Return the home of a command that reads it (with ``write``: changes it) without a daemon.

    Raises:
        errors.HostError: this user cannot use it.
    """
    from gaovm.hostfacts import homes

    found = paths.home()
    homes.check(found, write=write)
    return found
