"""``gaovm lima shell`` and ``copy``. ``shell`` is on the hot path."""

from __future__ import annotations

import os
import sys

from gaovm import errors
from gaovm.cli import calls, options, output
from gaovm.cli.commands import run
from gaovm.cli.lima import homes, instances, say, verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

#: Variables that mean something on the host only.
BLOCKED = (
    *("BASH*", "DISPLAY", "DYLD_*", "EUID", "FPATH", "GID", "GROUP", "HOME", "HOSTNAME", "LD_*"),
    *("LOGNAME", "OLDPWD", "PATH", "PWD", "SHELL", "SHLVL", "SSH_*", "TERM", "TERMINFO", "TMPDIR"),
    *("UID", "USER", "XAUTHORITY", "XDG_*", "ZDOTDIR", "ZSH*", "_*"),
)
#: Words after an instance's name that are a verb in the wrong place.
_VERBS = ("create", "start", "delete", "shell")
_SAFE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-")
_PATTERN = _SAFE - frozenset("@%+=:,./-") | frozenset("*")
_THROUGH = 'exec "${SHELL:-/bin/sh}" -l -c "$1"'


def shell(parsed: options.Parsed, tell: say.Log) -> int:
    """Open a login shell in an instance, or run a command through one; exits as it does."""
    name, argv = _words(parsed)
    if argv and argv[0] in _VERBS:
        tell.warning(f"Perhaps you meant `limactl {' '.join(argv)}`?")
    with calls.connect() as client:
        vms = homes.instances(client.call("vm.list", {})["vms"])
    vm = next((each for each in vms if each["name"] == name), None)
    if vm is None:
        raise homes.missing(name)
    if instances.status(vm) != instances.RUNNING and not _started(vm, parsed, tell):
        return 0
    if parsed.flag("preserve-env"):
        parsed.values["env"] = environment(tell)
    wanted = parsed.text("workdir") or os.environ.get("LIMA_WORKDIR")
    if wanted:
        parsed.values["workdir"] = [wanted]
    if parsed.flag("sync"):
        raise errors.UsageError("--sync is not supported", remedy="gaovm lima copy, both ways")
    own_shell = parsed.text("shell") or os.environ.get("LIMA_SHELL")
    tty = sys.stdin.isatty() and sys.stdout.isatty() and not parsed.flag(verb.NO + "tty")
    # the session looks the VM up by the option --name
    parsed.words, parsed.rest, parsed.values["name"] = [], [], [name]
    return run.open_in(parsed, {"argv": command(argv, own_shell), "tty": tty, "login": False})


def _words(parsed: options.Parsed) -> tuple[str, list[str]]:
    words = list(parsed.rest)
    if not words:
        raise SHELL.mistake("requires at least 1 arg(s), only received 0: INSTANCE")
    name, argv = words[0], words[1:]
    return name, argv[1:] if argv[:1] == ["--"] else argv


def command(argv: Sequence[str], own_shell: str | None) -> list[str]:
    """Return the argument vector of a session: a login shell, or a line for one.

    As Lima does it, words before the command that have a ``=`` are variables of the command.
    """
    if not argv:
        return [own_shell, "-l"] if own_shell else []
    quoted, variables = [], True
    for word in argv:
        variables = variables and "=" in word
        key, _, value = word.partition("=")
        quoted.append(f"{key}={quote(value)}" if variables else quote(word))
    line = " ".join(quoted)
    if own_shell:
        return [own_shell, "-l", "-c", line]
    return ["/bin/sh", "-c", _THROUGH, "sh", line]


def quote(word: str) -> str:
    """Return a word as a shell reads it back (``shlex.quote``, without its import)."""
    if word and set(word) <= _SAFE:
        return word
    return "'" + word.replace("'", "'\"'\"'") + "'"


def _started(vm: Mapping[str, Any], parsed: options.Parsed, tell: say.Log) -> bool:
    """Start an instance that does not run, if a flag or a person says so."""
    name = str(vm["name"])
    asked = parsed.flag("start") or parsed.flag("yes")
    if not asked and verb.may_ask(parsed):
        asked = output.confirm(f"The instance `{name}` is not running. Start it now?")
    if not asked:
        tell.warning(f"instance `{name}` is not running, run `limactl start {name}` to start it")
        return False
    from gaovm.cli.lima.verbs import starting

    with calls.connect() as client:
        starting.begin(client, name, parsed, tell)
    return True


def environment(tell: say.Log) -> list[str]:
    """Return the names of the variables that ``--preserve-env`` passes on.

    Raises:
        errors.UsageError: a pattern in ``LIMA_SHELLENV_ALLOW`` or ``_BLOCK`` is none.
    """
    allowed = _patterns("LIMA_SHELLENV_ALLOW", os.environ.get("LIMA_SHELLENV_ALLOW", ""))
    given = os.environ.get("LIMA_SHELLENV_BLOCK", "")
    blocked = _patterns("LIMA_SHELLENV_BLOCK", given.removeprefix("+")) if given else []
    if not given or given.startswith("+"):
        blocked += BLOCKED
    kept = []
    for name in os.environ:
        if _matches(name, allowed) if allowed else not _matches(name, blocked):
            kept.append(name)
        else:
            tell.debug(f'Blocked env variable "{name}"')
    return kept


def _patterns(key: str, given: str) -> list[str]:
    found = [part.strip() for part in given.split(",") if part.strip()]
    for pattern in found:
        if not set(pattern) <= _PATTERN:
            raise errors.UsageError(f"Invalid {key} pattern: {output.harmless(pattern)!r}")
    return found


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(_fits(name, pattern.split("*")) for pattern in patterns)


def _fits(name: str, parts: list[str]) -> bool:
    """Tell whether a name has a pattern's parts in order, the first and last at its ends."""
    first, *rest = parts
    if not rest:
        return name == first
    if not name.startswith(first) or not name.endswith(rest[-1]):
        return False
    middle = name[len(first) : len(name) - len(rest[-1])]
    if len(name) < len(first) + len(rest[-1]):
        return False
    for part in rest[:-1]:
        before, found, middle = middle.partition(part)
        if part and not found:
            return False
        middle = middle if part else before
    return True


def copy(parsed: options.Parsed, tell: say.Log) -> int:
    """Copy files between the host and instances."""
    from gaovm.cli.commands import copy as gaovm_copy

    words = options.Parsed()
    words.words = parsed.words
    return gaovm_copy.run(words)


SHELL = verb.Verb(
    "shell",
    shell,
    about="Open a login shell in an instance, in this directory when it is mounted there. With\n"
    "COMMAND, run it through the login shell and exit with its status; each word stays one word.\n"
    "Flags stand before INSTANCE.",
    rest="INSTANCE [COMMAND...]",
    flags=(
        options.Option(
            "--shell", "this shell (default: $LIMA_SHELL, else the user's)", value="SHELL"
        ),
        options.Option("--workdir", "start there (default: $LIMA_WORKDIR)", value="DIR"),
        options.Option("--preserve-env", "pass variables on, but those of LIMA_SHELLENV_BLOCK"),
        options.Option("--reconnect", "no effect: each shell has a session of its own"),
        options.Option("--start", "start the instance if it does not run"),
        options.Option("--sync", "not supported", value="DIR"),
    ),
    greedy=True,
    examples=(
        "gaovm lima shell default",
        "gaovm lima shell --workdir /tmp default ls -l",
        "gaovm lima shell default FOO=1 env",
    ),
)

COPY = verb.Verb(
    "copy",
    copy,
    about="Copy files. INSTANCE:PATH is in an instance, relative to the user's home.\n"
    "Directories are copied whole.",
    words="SRC... DST",
    count=(2, 1000),
    flags=(
        options.Option("-r, --recursive", "no effect: directories are copied in any case"),
        options.Option("-v, --verbose", "no effect"),
        options.Option("--backend", "no effect: it needs no ssh", value="NAME"),
    ),
    examples=("gaovm lima copy default:/etc/os-release .", "gaovm lima cp -r ./src default:"),
)
