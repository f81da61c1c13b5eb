"""Run one command line of ``gaovm lima``. Every failure of its own exits with 1, as Lima's."""

from __future__ import annotations

import sys

from gaovm import errors
from gaovm.cli import main, output
from gaovm.cli.lima import say, verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from gaovm.cli import options

#: Verb -> (module of ``verbs``, its constant, one line for the overview).
VERBS = {
    "create": ("starting", "CREATE", "make an instance from a template, and do not start it"),
    "start": ("starting", "START", "start an instance; make it first where there is none"),
    "stop": ("ending", "STOP", "stop an instance"),
    "restart": ("ending", "RESTART", "stop an instance and start it again"),
    "shell": ("entering", "SHELL", "open a shell in an instance, or run a command"),
    "list": ("listing", "LIST", "list the instances"),
    "copy": ("entering", "COPY", "copy files between the host and instances"),
    "delete": ("ending", "DELETE", "remove instances"),
    "clone": ("editing", "CLONE", "make an instance with the config of another"),
    "edit": ("editing", "EDIT", "change an instance's or a file's config"),
    "protect": ("guarding", "PROTECT", "protect instances from removal"),
    "unprotect": ("guarding", "UNPROTECT", "take the protection away"),
    "autostart": ("guarding", "AUTOSTART", "start an instance with the daemon"),
    "factory-reset": ("ending", "FACTORY_RESET", "empty an instance's disk"),
    "validate": ("templating", "VALIDATE", "check templates"),
    "template": ("templating", "TEMPLATE", "copy, check or query a template"),
    "yq": ("yq", "YQ", "run yq, the processor of YAML"),
    "info": ("asking", "INFO", "show what GaoVM offers, as JSON"),
    "show-ssh": ("asking", "SHOW_SSH", "show how ssh reaches an instance"),
    "watch": ("asking", "WATCH", "show what happens to instances"),
    "prune": ("ending", "PRUNE", "remove images that no instance uses"),
    "disk": ("disks", "DISK", "disks that outlive instances"),
    "screenshot": ("asking", "SCREENSHOT", "write an instance's display to a file"),
    "completion": ("asking", "COMPLETION", "print a shell's completion script"),
}
ALIASES = {"ls": "list", "cp": "copy", "rm": "delete", "remove": "delete", "tmpl": "template"}
_HELP = ("help", "--help", "-h")
_VERSION = ("--version", "-v")


def run(argv: Sequence[str]) -> int:
    """Run one command line; returns the exit code. Never raises for an error of the tree."""
    tell = say.Log()
    try:
        found = _find(argv)
        if isinstance(found, str):
            sys.stdout.write(found)
            return 0
        meant, parsed = found
        tell = _log(parsed)
        code = meant.do(parsed, tell)
        sys.stdout.flush()
    except errors.GaoError as error:
        tell.fatal(text(error))
        return main.INTERRUPTED if error.exit_code == main.INTERRUPTED else 1
    except KeyboardInterrupt:
        tell.fatal("interrupted")
        return main.INTERRUPTED
    except BrokenPipeError:
        return main.closed_output()
    except OSError as error:
        tell.fatal(main.of_system(error).message)
        return 1
    return code


def text(error: errors.GaoError) -> str:
    """Write an error as one message, with what to do about it."""
    hints = output.remedy_lines(error.remedy, error.actions)
    return error.message + (f" (Hint: {'; '.join(hints)})" if hints else "")


def _find(argv: Sequence[str]) -> tuple[verb.Verb, options.Parsed] | str:
    """Return the verb of a command line and its words, or a text that is all it asks for.

    Raises:
        errors.UsageError: no such verb, or a flag that it does not take.
    """
    flags, words = verb.leading(argv)
    first, *rest = words or ["help"]
    if first in _HELP and rest and rest[0] not in _HELP:
        first, rest = rest[0], ["--help"]
    if first in _HELP:
        return overview()
    if first in _VERSION:
        return version()
    meant = load(find(first))
    parsed = meant.parse([*flags, *rest])
    return meant.help() if parsed.flag("help") else (meant, parsed)


def _log(parsed: options.Parsed) -> say.Log:
    level = "debug" if parsed.flag("debug") else parsed.text("log-level")
    return say.Log(level or "info", parsed.text("log-format") or "text")


def find(word: str) -> str:
    """Return the verb that a word means.

    Raises:
        errors.UsageError: there is none, or GaoVM does without it; the message has the reason.
    """
    name = ALIASES.get(word, word)
    if name in VERBS:
        return name
    from gaovm.cli.lima import refused
    from gaovm.errors import suggestions

    reason = refused.REASONS.get(name)
    if reason is not None:
        raise errors.UsageError(f"`{name}` is not supported: {reason}")
    meant = suggestions.did_you_mean(name, (*VERBS, *ALIASES), "gaovm lima {}")
    raise errors.UsageError(
        f'unknown command "{output.harmless(word)}" for "gaovm lima"',
        remedy=meant or "gaovm lima help lists the verbs",
    )


def overview() -> str:
    """Return the text of ``gaovm lima help``: every verb with a line about it."""
    width = max(map(len, VERBS))
    names: dict[str, list[str]] = {}
    for alias, name in ALIASES.items():
        names.setdefault(name, []).append(alias)
    lines = ["Lima's command line over GaoVM.  alias limactl='gaovm lima'", ""]
    lines += ["Usage:  gaovm lima VERB [flags] (before VERB too: --debug, --tty=false, -y)"]
    lines += ["", "Verbs:"]
    for name, (_, _, about) in VERBS.items():
        also = f" (also {', '.join(names[name])})" if name in names else ""
        lines.append(f"  {name:{width}}  {about}{also}")
    lines += ["", "Environment:"]
    lines.append("  LIMA_HOME       where instances have their directories, and which are listed")
    lines.append("  LIMA_INSTANCE   the instance when none is named (default: default)")
    lines.append("  LIMA_SHELL, LIMA_WORKDIR, LIMA_SHELLENV_ALLOW, LIMA_SHELLENV_BLOCK  for shell")
    lines += ["", "More about one:  gaovm lima help VERB"]
    return "\n".join(lines) + "\n"


def version() -> str:
    """Return what ``limactl --version`` prints: the version of Lima that this entry follows."""
    from gaovm.project.lima import versions

    return f"limactl version {versions.LIMA} (gaovm lima)\n"


def load(name: str) -> verb.Verb:
    """Import the module of one verb, and return its declaration."""
    import importlib

    module, constant, _ = VERBS[name]
    found: verb.Verb = getattr(importlib.import_module(f"gaovm.cli.lima.verbs.{module}"), constant)
    return found
