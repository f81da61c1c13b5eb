"""``gaovm exec`` and ``gaovm shell``: run a command in the guest, and exit with its status.

125: gaovm itself failed; 126 and 127: the guest could not execute or find the program.
"""

from __future__ import annotations

import os
import sys

from gaovm import errors
from gaovm.cli import calls, colour, options, output, project_dir, target
from gaovm.client import paths, session
from gaovm.project import names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from gaovm.client import inquiry

OWN_FAILURE = 125
# characters of shell lines that no program's name has
_SHELL_CHARACTERS = frozenset(" \t\n|&;<>()$`\"'*?")
_NOT_STARTED = {"not-found": 127, "not-executable": 126}


def execute(parsed: options.Parsed) -> int:
    """Run one command; standard streams stay separate and binary-clean unless ``--tty``."""
    if not parsed.rest:
        raise EXEC.mistake("CMD is missing")
    tty = parsed.flag("tty")
    if tty and not sys.stdin.isatty():
        raise errors.UsageError("--tty: standard input is no terminal", remedy="leave out --tty")
    return open_in(parsed, {"argv": parsed.rest, "tty": tty, "login": False})


def shell(parsed: options.Parsed) -> int:
    """Open a login shell, or run a command through one; a PTY when we are on a terminal.

    On a terminal without a command it attaches to the session that the config names.
    """
    tty = sys.stdin.isatty() and sys.stdout.isatty()
    argv = parsed.rest
    wanted, unwanted = parsed.flag("session"), parsed.flag("no-session")
    if wanted and argv:
        raise SHELL.mistake("--session and a command exclude each other")
    if wanted and unwanted:
        raise SHELL.mistake("--session and --no-session exclude each other")
    plain = argv or unwanted or parsed.flag("user") or parsed.flag("workdir") or not tty
    attach = (wanted and tty) or (False if plain else None)
    try:
        code = open_in(parsed, {"argv": argv, "tty": tty, "login": bool(argv)}, attach=attach)
    except errors.VmNotFound as error:
        word = parsed.word()
        if word is not None and not parsed.rest:
            meant = f"a command: gaovm shell -- {word}"
            error.remedy = f"{error.remedy}\n{meant}" if error.remedy else meant
        raise
    # the login shell says that it found no program, but not why
    if code == _NOT_STARTED["not-found"] and _is_line(parsed.rest):
        output.err(output.harmless(f"gaovm: a line for a shell: {_through_shell(parsed.rest[0])}"))
    return code


def open_in(parsed: options.Parsed, start: dict[str, Any], *, attach: bool | None = False) -> int:
    """Run what a START frame says in the VM that the options name; they complete the frame.

    ``attach``: to the terminal session of the VM instead; None: if the VM's config names one.
    """
    start["env"] = environment(parsed.many("env"))
    start["user"] = parsed.text("user") or ""
    name = target.vm_name(parsed)
    with calls.connect() as client:
        ticket = calls.open_session(client, name, "exec")
    if attach or (attach is None and ticket.get("session")):
        from gaovm.cli.commands import attaching

        start["argv"], start["login"] = attaching.argv(), True
    directory, optional = working_directory(parsed.text("workdir"), ticket)
    start["cwd"], start["cwd_home_ok"] = directory, optional
    try:
        return session.run_exec(ticket, start, inquire=lambda: _inquire(name))
    except errors.GuestCallFailed as error:
        code = _NOT_STARTED.get(str(error.details.get("agent_code")))
        if code is None:
            raise
        error.remedy = error.remedy or _meant(parsed.rest)
        output.err(colour.error(output.error_text(error), sys.stderr))
        return code
    except errors.GaoError as error:
        calls.name_vm(error, name)
        raise


def _meant(argv: Sequence[str]) -> str | None:
    """Return what the user meant when the guest has no such program: a shell line or a VM."""
    if _is_line(argv):
        return _through_shell(argv[0])
    if len(argv) > 1 and names.is_valid(argv[0]):
        with calls.connect(start=False) as client:
            if any(vm["name"] == argv[0] for vm in client.call("vm.list", {})["vms"]):
                return f"gaovm exec --name {argv[0]} -- {' '.join(argv[1:])}"
    return None


def _is_line(argv: Sequence[str]) -> bool:
    return len(argv) == 1 and bool(set(argv[0]) & _SHELL_CHARACTERS)


def _through_shell(line: str) -> str:
    import shlex

    return f"gaovm exec -- sh -c {shlex.quote(line)}"


def _inquire(name: str) -> inquiry.Finding:
    """Find out why the VM is silent; few sessions need this code."""
    from gaovm.client import inquiry

    found = inquiry.ask(paths.home(), target.about(name))
    if found.actions:
        from gaovm.cli import actions

        found.why += f" ({actions.command(found.actions[0])})"
    return found


def environment(settings: Sequence[str]) -> dict[str, str]:
    """Read ``K=V`` as it is; ``K`` alone takes its value here, or is left out when unset.

    Raises:
        errors.UsageError: no name before ``=``.
    """
    found = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not name:
            raise errors.UsageError(f"--env {setting}: must be NAME=VALUE or NAME")
        if equals or name in os.environ:
            found[name] = value if equals else os.environ[name]
    return found


def working_directory(wanted: str | None, ticket: Mapping[str, Any]) -> tuple[str, bool]:
    """Return where the command starts, and whether the home directory will do instead.

    Without ``--workdir``: the current directory when a mount has it, else the home directory. A
    relative ``--workdir`` goes on from there.
    """
    here = guest_path(ticket.get("mounts") or (), _directories())
    home = str(ticket.get("home") or "")
    if wanted is None:
        return here or home, True
    if wanted.startswith("/"):
        return wanted, False
    return f"{here or home}/{wanted}", False


def guest_path(mounts: Sequence[Mapping[str, Any]], directories: Sequence[str]) -> str | None:
    """Return the guest's path of the first of ``directories`` in a mount, by the deepest mount."""
    for directory in directories:
        best = ""
        found = None
        for mount in mounts:
            location = str(mount["location"]).rstrip("/")
            inside = directory == location or directory.startswith(location + "/")
            if inside and len(location) >= len(best):
                best = location
                found = str(mount["mount_point"]).rstrip("/") + directory[len(location) :]
        if found is not None:
            return found or "/"
    return None


def _directories() -> list[str]:
    """Return the current directory: its real path, and the path that our shell uses."""
    real = project_dir.working_directory()
    logical = os.environ.get("PWD", "")
    return [real, logical] if logical.startswith("/") and _same(real, logical) else [real]


def _same(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)  # noqa: PTH121  (pathlib costs 5 ms)
    except OSError:
        return False


_USER = options.Option("-u, --user", "act as this user of the guest", value="USER")
_WORKDIR = options.Option(
    "-w, --workdir", "start there (default: this directory if mounted, else home)", value="DIR"
)
_ENV = options.Option(
    "-e, --env", "set a variable; NAME alone passes ours on", value="NAME=VALUE", many=True
)

EXEC = options.Command(
    "exec",
    execute,
    about="Run a command in the VM, in this directory when it is mounted. Standard input, output\n"
    "and error stay separate and binary-clean, signals are forwarded, the exit status is the\n"
    "command's; 125: gaovm failed, 126: cannot be executed, 127: not found.",
    rest="-- CMD...",
    options=(
        options.NAME,
        _USER,
        _WORKDIR,
        _ENV,
        options.Option("-t, --tty", "give the command a terminal"),
        options.Option("-i, --interactive", "no effect: standard input is always passed on"),
    ),
    greedy=True,
    own_failure=OWN_FAILURE,
    examples=(
        "gaovm exec -- uname -a",
        "echo hi | gaovm exec -- tee a.txt",
        "gaovm exec -t -- top",
        "gaovm exec --user root -e DEBIAN_FRONTEND=noninteractive -- apt-get install -y jq",
    ),
)

SHELL = options.Command(
    "shell",
    shell,
    about="Open a shell in the VM, in this directory when it is mounted, else at home. With CMD,\n"
    "run it through the login shell. Exit status as for exec. A line with only ~. leaves.\n"
    "At a terminal without CMD, --user and --workdir, attach to the session of Zellij or tmux\n"
    "that the config's variable ZELLIJ_SESSION names, where it names one; Ctrl-A D leaves it.",
    words="[NAME]",
    rest="[-- CMD...]",
    count=(0, 1),
    options=(
        options.NAME,
        _USER,
        _WORKDIR,
        _ENV,
        options.Option(
            "--session", "attach to Zellij's or tmux's session that the VM's ZELLIJ_SESSION names"
        ),
        options.Option("--no-session", "a plain shell, also where the config names a session"),
    ),
    own_failure=OWN_FAILURE,
    examples=(
        "gaovm shell",
        "gaovm shell web-dev",
        "gaovm shell --no-session",
        "gaovm shell -- make test",
    ),
)
