"""Calls to the daemon about a VM: the connection, and errors that say what to do next."""

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
    """A connection to the daemon, started when it does not run and ``start`` is true."""
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
    if "name" in params:
        params = {**params, **target.about(params["name"])}
    try:
        return client.call(method, params, timeout_s, on_progress, interrupts)
    except errors.VmNotFound as error:
        if "of_project" in params:
            raise  # nobody has misspelt anything
        raise with_suggestion(client, str(params.get("name", "")), error) from error
    except errors.GaoError as error:
        if "of_project" not in params and "name" in params:
            error.name_vm(str(params["name"]))
        raise


def with_suggestion(
    client: blocking.Client, name: str, error: errors.VmNotFound
) -> errors.VmNotFound:
    """The error with a remedy: a VM whose name is close to one that was given, or this project's.

    Of a name that nobody gave the daemon has said what to do.
    """
    from gaovm.errors import suggestions

    if isinstance(name, target.ProjectVm):
        return error
    project = project_dir.find_project()
    about_here = {"of_project": project.directory} if project else {}
    listed = client.call("vm.list", about_here)
    own = sorted(listed.get("here", ()))
    meant = suggestions.did_you_mean(name, [str(vm["name"]) for vm in listed["vms"]])
    error.actions = ()
    if meant:
        error.remedy = meant
    elif own:
        error.remedy = f"this project's VM is called {own[0]}; gaovm ls lists the others"
    elif project:
        error.remedy = "gaovm up makes this project's VM; gaovm ls lists the others"
    else:
        error.remedy = "gaovm ls lists the VMs; `gaovm up` makes a project's VM"
    return error


def real_name(name: str) -> str:
    """How a VM is called, for what needs no daemon: where one runs, it knows.

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


def open_session(client: blocking.Client, name: str, kind: str) -> dict[str, Any]:
    """The daemon's ticket for a session of a VM that runs.

    Raises:
        errors.VmNotFound, errors.StateConflict, errors.GuestUnavailable: with what to do.
    """
    from gaovm.cli import output
    from gaovm.client import session

    def say(params: Mapping[str, Any]) -> None:
        output.err(output.harmless(f"gaovm: {params.get('message')}"))

    try:
        return session.ask(client, target.about(name), kind, say)
    except errors.VmNotFound as error:
        raise with_suggestion(client, name, error) from error
    except (errors.StateConflict, errors.GuestUnavailable) as error:
        if not error.actions:
            error.remedy = error.remedy or f"gaovm up {target.word(name)}".rstrip()
        raise


def home(*, write: bool = False) -> str:
    """The home, for what reads (or with ``write`` changes) it without a daemon.

    Raises:
        errors.HostError: this user cannot use it.
    """
    from gaovm.hostfacts import homes

    found = paths.home()
    homes.check(found, write=write)
    return found
