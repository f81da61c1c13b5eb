"""Which VM, which project, which daemon: what every command about a VM asks first."""
# pathlib costs 5 ms, and this module is on the path of every command
# ruff: noqa: PTH109, PTH118, PTH120

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
_CONFIG_LIMIT = 256 << 10  # as the reader's own


class Project:
    """A project directory and its config file, both absolute."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.config = os.path.join(directory, CONFIG)

    def text(self) -> str:
        """The config file's text.

        Raises:
            errors.ConfigError: it cannot be read, is larger than 256 KiB or is not UTF-8.
        """
        try:
            # without waiting for the other end of a FIFO; what is no file cannot be read then
            fd = os.open(self.config, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            with open(fd, "rb") as file:
                data = file.read(_CONFIG_LIMIT + 1)
        except OSError as exc:
            raise errors.ConfigError(f"{self.config}: {exc.strerror}") from exc
        if len(data) > _CONFIG_LIMIT:
            limit = f"{_CONFIG_LIMIT >> 10} KiB"
            raise errors.ConfigError(f"{self.config} is larger than {limit}")
        try:
            return data.decode()
        except UnicodeDecodeError as exc:
            line = data.count(b"\n", 0, exc.start) + 1
            raise errors.ConfigError(
                f"{self.config}:{line}: not UTF-8: the byte 0x{data[exc.start]:02x}",
                remedy="save the file as UTF-8",
            ) from exc


def find_project() -> Project | None:
    """The project of the current directory: the nearest one upwards that has a config file."""
    directory = working_directory()
    while True:
        if os.path.lexists(os.path.join(directory, CONFIG)):
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
    """A name that nobody gave: what the VM of the project's directory is usually called.

    The daemon knows which VM that is, and how it is called: nothing is told of this name.
    """

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


def word(name: str) -> str:
    """A name as the last word of a command that is proposed: empty where nobody gave one."""
    return "" if isinstance(name, ProjectVm) else name


def called(name: str) -> str:
    """A VM in a sentence."""
    return "the VM of this project" if isinstance(name, ProjectVm) else name


def here(client: blocking.Client, project: Project) -> frozenset[str]:
    """The names of the VMs of a project's directory, wherever that was when they were made."""
    return frozenset(client.call("vm.list", {"of_project": project.directory}).get("here", ()))


def is_of(client: blocking.Client, name: str, project: Project) -> bool:
    """Whether a VM is one of a project's directory, so that the project's file is its own."""
    return isinstance(name, ProjectVm) or name in here(client, project)


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
        error.remedy = error.remedy or f"gaovm up {word(name)}".rstrip()
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
        if "of_project" in params:
            raise  # nobody has misspelt anything
        raise with_suggestion(client, str(params.get("name", "")), error) from error


def real_name(name: str) -> str:
    """How a VM is called, for what needs no daemon: where one runs, it knows.

    Raises:
        errors.VmNotFound: this project has none.
    """
    if isinstance(name, ProjectVm):
        try:
            with connect(start=False) as client:
                return str(call(client, "vm.status", {"name": name})["name"])
        except errors.DaemonUnreachable:
            return str(name)
    return name


class Interrupts:
    """The first Ctrl-C of a long call, as something that can be waited for.

    ``then`` is what becomes of the work, None: as the daemon has it.
    """

    def __init__(
        self, pipe: signals.SignalPipe, show: progress.Progress, effect: str, then: str | None
    ) -> None:
        self.fd = pipe.fd
        self.then = then
        self._pipe = pipe
        self._show = show
        self._effect = effect

    def saw(self, params: Mapping[str, Any]) -> None:
        """One notification of the call's progress."""
        self._show.update(params)

    def effect(self) -> str | None:
        """What the interrupt is said to do; None: nothing, the call goes on."""
        return self._effect

    def check(self) -> None:
        """Raise ``KeyboardInterrupt`` if there was one; from then on the next leaves at once."""
        import signal

        if self._pipe.take():
            before = signal.signal(signal.SIGINT, signal.default_int_handler)
            effect = self.effect()
            if effect is None:
                signal.signal(signal.SIGINT, before)
                return
            self._show.note(f"interrupted: {effect} (Ctrl-C again: leave at once)")
            raise KeyboardInterrupt


def long_call(  # noqa: PLR0913  (a call, and how it may end)
    client: blocking.Client,
    method: str,
    params: Mapping[str, Any],
    show: progress.Progress,
    timeout_s: float | None = None,
    effect: str = UNDONE,
    interrupts: Callable[[signals.SignalPipe], Interrupts] | None = None,
) -> Any:
    """A call that Ctrl-C ends; the first Ctrl-C says to what ``effect``, the second leaves at once.

    Raises:
        errors.Cancelled: it was interrupted.
        errors.TimeLimit: its time passed; ``call`` has the rest.
    """
    import signal

    from gaovm.client import signals

    with signals.SignalPipe([signal.SIGINT]) as pipe:
        then = "undo" if effect == UNDONE and method.startswith("vm.") else None
        waiting = interrupts(pipe) if interrupts else Interrupts(pipe, show, effect, then)
        try:
            return call(
                client,
                method,
                params,
                timeout_s=timeout_s,
                on_progress=waiting.saw,
                interrupts=waiting,
            )
        except errors.Cancelled as error:
            if error.message == f"{method} was cancelled":  # by us: a stop says of itself
                error.message = "what was begun is undone"
            error.message = f"interrupted: {error.message}"
            if waiting.then == "keep":
                error.message = "interrupted: the VM is kept, and its set-up goes on"
                error.remedy = "`gaovm up` waits for it, `gaovm destroy` removes it"
            raise
        except errors.TimeLimit as error:
            error.message = error.message.replace(f"{method}: no answer within", "not done within")
            raise


def with_suggestion(
    client: blocking.Client, name: str, error: errors.VmNotFound
) -> errors.VmNotFound:
    """The error with a remedy: a VM whose name is close to one that was given, or this project's.

    Of a name that nobody gave the daemon has said what to do.
    """
    import difflib

    if isinstance(name, ProjectVm):
        return error
    project = find_project()
    about_here = {"of_project": project.directory} if project else {}
    listed = client.call("vm.list", about_here)
    own = sorted(listed.get("here", ()))
    near = difflib.get_close_matches(name, [str(vm["name"]) for vm in listed["vms"]], n=1)
    if near:
        error.remedy = f"did you mean {near[0]}?"
    elif own:
        error.remedy = f"this project's VM is called {own[0]}; gaovm ls lists the others"
    elif project:
        error.remedy = "gaovm up makes this project's VM; gaovm ls lists the others"
    else:
        error.remedy = "gaovm ls lists the VMs; `gaovm up` makes a project's VM"
    return error
