"""Which VM, which project, which daemon: what every command about a VM asks first."""
# pathlib costs 5 ms, and this module is on the path of every command
# ruff: noqa: PTH109, PTH113, PTH118, PTH120

from __future__ import annotations

import os

from gaovm import errors
from gaovm.client import blocking, paths
from gaovm.project import names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from gaovm.cli import options, progress
    from gaovm.client import signals

CONFIG = ".lima/config.yaml"
UNDONE = "undoing what was begun"
_CONFIG_LIMIT = 1 << 20


class Project:
    """A project directory and its config file, both absolute."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.config = os.path.join(directory, CONFIG)

    def text(self) -> str:
        """The config file's text.

        Raises:
            errors.ConfigError: it cannot be read, is larger than 1 MiB or is not UTF-8.
        """
        try:
            with open(self.config, "rb") as file:
                data = file.read(_CONFIG_LIMIT + 1)
        except OSError as exc:
            raise errors.ConfigError(f"{self.config}: {exc.strerror}") from exc
        if len(data) > _CONFIG_LIMIT:
            raise errors.ConfigError(f"{self.config} is larger than 1 MiB")
        try:
            return data.decode()
        except UnicodeDecodeError as exc:
            raise errors.ConfigError(f"{self.config} is not UTF-8: {exc.reason}") from exc


def find_project() -> Project | None:
    """The project of the current directory: the nearest one upwards that has a config file."""
    directory = working_directory()
    while True:
        if os.path.isfile(os.path.join(directory, CONFIG)):
            return Project(directory)
        parent = os.path.dirname(directory)
        if parent == directory:
            return None
        directory = parent


def need_project() -> Project:
    """As ``find_project``.

    Raises:
        errors.UsageError: there is none.
    """
    project = find_project()
    if project is None:
        raise errors.UsageError(
            f"there is no {CONFIG} here or above",
            remedy="gaovm init makes one; for a VM of another project give its NAME (gaovm ls)",
        )
    return project


def working_directory() -> str:
    """The real path of the current directory.

    Raises:
        errors.UsageError: it was removed.
    """
    try:
        return os.getcwd()
    except OSError as exc:
        raise errors.UsageError(f"the current directory cannot be used: {exc.strerror}") from exc


class ProjectVm(str):
    """A name that nobody gave: it follows from the project's directory, whose VM it has to be."""

    __slots__ = ("project",)

    def __new__(cls, project: Project) -> ProjectVm:
        name = super().__new__(cls, names.of_directory(project.directory))
        name.project = project.directory
        return name

    project: str


def about(name: str) -> dict[str, Any]:
    """The parameters that say which VM a call is about: no other project's by accident."""
    if isinstance(name, ProjectVm):
        return {"name": str(name), "of_project": name.project}
    return {"name": name}


def vm_name(parsed: options.Parsed, word: int = 0) -> str:
    """The VM meant: the word, else ``--name``, else ``VM_NAME``, else this project's.

    Raises:
        errors.UsageError: a name that breaks the rule, two names, or nothing to go by.
    """
    given, option = parsed.word(word), parsed.text("name")
    if given is not None and option is not None and given != option:
        raise errors.UsageError(f"two names were given: {given} and --name {option}")
    explicit = given if given is not None else option
    return project_vm() if explicit is None else names.check(explicit)


def project_vm() -> str:
    """The VM meant when none is named: ``VM_NAME``, else this project's.

    Raises:
        errors.UsageError: there is neither.
    """
    given = os.environ.get("VM_NAME")
    return names.check(given) if given else ProjectVm(need_project())


def project_name(project: Project) -> str:
    """The name this project's VM has when none is given."""
    return names.vm_name(None, os.environ.get("VM_NAME"), project.directory)


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
        return session.ask(client, about(name), kind, say)
    except errors.VmNotFound as error:
        raise with_suggestion(client, name, error) from error
    except (errors.StateConflict, errors.GuestUnavailable) as error:
        error.remedy = error.remedy or f"gaovm up {name}"
        raise


def home() -> str:
    """The home, for what reads it without a daemon.

    Raises:
        errors.HostError: this user cannot use it.
    """
    from gaovm.hostfacts import homes

    found = paths.home()
    homes.check(found, write=False)
    return found


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
    interrupts: Interrupts | None = None,
) -> Any:
    """Call a method about ``params["name"]``; an unknown name gets a suggestion."""
    if "name" in params:
        params = {**params, **about(params["name"])}
    try:
        return client.call(method, params, timeout_s, on_progress, interrupts)
    except errors.VmNotFound as error:
        raise with_suggestion(client, str(params.get("name", "")), error) from error
    except errors.NameTaken as error:
        if "of_project" in params:
            error.remedy = f"{error.remedy}, or say that you mean that VM: --name {params['name']}"
        raise


def refuse_foreign(name: str) -> None:
    """As ``call`` would, for what needs no daemon: where one runs, it says whose VM that is.

    Raises:
        errors.NameTaken: the name follows from this directory, and the VM is another project's.
    """
    if isinstance(name, ProjectVm):
        try:
            with connect(start=False) as client:
                call(client, "vm.status", {"name": name})
        except (errors.DaemonUnreachable, errors.VmNotFound):
            return


class Interrupts:
    """The first Ctrl-C of a long call, as something that can be waited for."""

    def __init__(self, pipe: signals.SignalPipe, show: progress.Progress, effect: str) -> None:
        self.fd = pipe.fd
        self._pipe = pipe
        self._show = show
        self._effect = effect

    def check(self) -> None:
        """Raise ``KeyboardInterrupt`` if there was one; from then on the next leaves at once."""
        import signal

        if self._pipe.take():
            signal.signal(signal.SIGINT, signal.default_int_handler)
            self._show.note(f"interrupted: {self._effect} (Ctrl-C again: leave at once)")
            raise KeyboardInterrupt


def long_call(
    client: blocking.Client,
    method: str,
    params: Mapping[str, Any],
    show: progress.Progress,
    timeout_s: float | None = None,
    effect: str = UNDONE,
) -> Any:
    """A call that Ctrl-C ends; the first Ctrl-C says to what ``effect``, the second leaves at once.

    Raises:
        errors.Cancelled: it was interrupted.
        errors.TimeLimit: its time passed; ``call`` has the rest.
    """
    import signal

    from gaovm.client import signals

    with signals.SignalPipe([signal.SIGINT]) as pipe:
        interrupts = Interrupts(pipe, show, effect)
        try:
            return call(
                client,
                method,
                params,
                timeout_s=timeout_s,
                on_progress=show.update,
                interrupts=interrupts,
            )
        except errors.Cancelled as error:
            error.message = f"interrupted: {error.message}"
            raise


def with_suggestion(
    client: blocking.Client, name: str, error: errors.VmNotFound
) -> errors.VmNotFound:
    """The error with a remedy: a VM whose name is close, or the project's VM of another name."""
    import difflib

    vms = client.call("vm.list", {})["vms"]
    near = difflib.get_close_matches(name, [str(vm["name"]) for vm in vms], n=1)
    project = find_project()
    own = [vm["name"] for vm in vms if project and vm.get("project") == project.directory]
    if near:
        error.remedy = f"did you mean {near[0]}?"
    elif own:
        error.remedy = f"this project's VM is called {own[0]}: use --name {own[0]}"
    elif project:
        error.remedy = "gaovm up makes this project's VM; gaovm ls lists the others"
    else:
        error.remedy = "gaovm ls lists the VMs; `gaovm up` makes a project's VM"
    return error
