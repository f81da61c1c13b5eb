"""Tell a shell what can come next on a command line: ``gaovm __complete WORDS…``.

The user is typing the last word, which may be empty. Each candidate is a line: the word, a tab and
one line about it. ``:files`` adds file names to the candidates; ``:nospace`` says that the word
goes on after a candidate. The declarations of the commands give all of this. The daemon gives the
names of VMs and images; where none listens there are none. This starts nothing and reports no
errors.
"""

from __future__ import annotations

import sys

from gaovm import errors
from gaovm.cli import catalog

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from gaovm.cli import options

    #: Pairs of a word and a line about it, which may be empty.
    Candidates = Iterable[tuple[str, str]]

FILES = ":files"
NOSPACE = ":nospace"
#: The command that has a command line of its own.
LIMA = "lima"
_HELP = ("help", "show what a command does")
_ANSWER_LIMIT_S = 1.0


def run(words: Sequence[str]) -> int:
    """Print the candidates; return 0 always, because a shell has no use for an error."""
    try:
        lines = list(candidates(list(words) or [""]))
    except (errors.GaoError, OSError):
        return 0
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 0


def candidates(words: list[str]) -> Iterator[str]:
    """Return the lines for a command line whose last word the user is typing."""
    *before, current = words
    while before and before[0] in ("help", "-h", "--help"):
        before.pop(0)
        if not before:
            yield from _matching(current, catalog.names(""))
            return
    if not before:
        yield from _matching(current, [*catalog.names(""), _HELP])
        return
    if before[0] == LIMA:
        yield from _of_lima(before[1:], current)
        return
    command, given = catalog.find(before)
    if command is None:
        yield from _matching(current, catalog.names(before[0]))
    else:
        yield from _of_command(command, given, current)


def _of_lima(before: list[str], current: str) -> Iterator[str]:
    """Return the candidates of Lima's command line: its verbs, their flags, instances."""
    import importlib

    lima = importlib.import_module("gaovm.cli.lima.main")
    if not before and current.startswith("-"):
        yield from _of_command(catalog.load(LIMA), [], current)
        return
    if not before:
        verbs = {name: about for name, (_, _, about) in lima.VERBS.items()}
        verbs |= {alias: verbs[name] for alias, name in lima.ALIASES.items()}
        yield from _matching(current, verbs.items())
        return
    verb = lima.load(lima.find(before[0]))
    if verb.greedy and not current.startswith("-") and all(w.startswith("-") for w in before[1:]):
        yield from _vms(current, "")
    else:
        yield from _of_command(verb, before[1:], current)


def _matching(current: str, found: Candidates, prefix: str = "") -> Iterator[str]:
    for word, about in found:
        if word.startswith(current) and word.isprintable() and " " not in word:
            yield f"{prefix}{word}\t{about}" if about else f"{prefix}{word}"


def _of_command(command: options.Command, given: list[str], current: str) -> Iterator[str]:
    state = _State(command, given)
    if state.beyond:
        yield FILES
    elif state.pending is not None:
        yield from _values(state.pending.value, state.pending.choices, current)
    elif current.startswith("--") and "=" in current:
        name, _, value = current.partition("=")
        option = state.table.get(name)
        if option is not None and option.value:
            yield from _values(option.value, option.choices, value, f"{name}=")
    elif current.startswith("-"):
        yield from _matching(current, state.options_left())
    else:
        for place in state.places():
            yield from _values(place, (), current)


class _State:
    """Track what the words before the current one allow next. A lenient ``Command.parse``."""

    def __init__(self, command: options.Command, given: list[str]) -> None:
        self.table = {name: option for option in command.options for name in option.names}
        self.pending: options.Option | None = None
        self.beyond = False
        self._command = command
        self._used: set[str] = set()
        self._words = 0
        for word in given:
            self._take(word)

    def _take(self, word: str) -> None:
        if self.beyond:
            return
        if self.pending is not None:
            self.pending = None
        elif word == "--":
            self.beyond = True
        elif len(word) > 1 and word.startswith("-"):
            name, equals, _ = word.partition("=")
            option = self.table.get(name)
            if option is not None:
                self._used.add(option.key)
                self.pending = option if option.value and not equals else None
        else:
            self._words += 1
            self.beyond = self._command.greedy

    def options_left(self) -> Iterator[tuple[str, str]]:
        """Return the names of the options that can still be given, each long name first."""
        for option in self._command.options:
            if option.many or option.key not in self._used:
                for name in reversed(option.names):
                    yield name, option.about

    def places(self) -> list[str]:
        """Return the placeholders of the usage line that the next word without a dash can fill."""
        places = self._command.words.split()
        if not places or self._words >= self._command.count[1]:
            return []
        repeated = next((at for at, each in enumerate(places) if "..." in each), len(places) - 1)
        first = min(self._words, repeated)
        optional = places[first].startswith("[") and places[first].endswith("]")
        return places[first : first + 1 + optional]


def _values(
    placeholder: str, choices: tuple[str, ...], current: str, prefix: str = ""
) -> Iterator[str]:
    """Return the candidates for a placeholder such as ``[NAME]`` or ``KEY=VALUE...``."""
    kind = placeholder.strip("[].")
    if choices or "|" in kind:
        yield from _matching(current, ((word, "") for word in choices or kind.split("|")), prefix)
    elif kind in PLACES:
        yield from PLACES[kind](current, prefix)


def _vms(current: str, prefix: str) -> Iterator[str]:
    found = ((str(vm["name"]), str(vm.get("state", ""))) for vm in _ask("vm.list", "vms"))
    yield from _matching(current, found, prefix)


def _images(current: str, prefix: str) -> Iterator[str]:
    names = {str(image["name"]) for image in _ask("image.list", "images")}
    yield from _matching(current, ((name, "") for name in sorted(names)), prefix)


def _disks(current: str, prefix: str) -> Iterator[str]:
    names = sorted(str(disk["name"]) for disk in _ask("disk.list", "disks"))
    yield from _matching(current, ((name, "") for name in names), prefix)


def _templates(current: str, prefix: str) -> Iterator[str]:
    from gaovm.client import paths
    from gaovm.hostfacts import templates

    listed = templates.listed(paths.home())
    yield from _matching(current, ((name, path) for name, path in listed), prefix)


def _sources(current: str, prefix: str) -> Iterator[str]:
    """Return the templates, and file names of this machine."""
    yield FILES
    yield from _templates(current, prefix)


def _keys(current: str, prefix: str) -> Iterator[str]:
    """Return the keys of a VM's config, each with its ``=``."""
    from gaovm.project import words

    if "=" not in current:
        yield NOSPACE
        yield from _matching(current, ((f"{key}=", "") for key in words.every()), prefix)


def _places(current: str, prefix: str) -> Iterator[str]:
    """Return file names of this machine, and ``NAME:`` for a path in each VM."""
    if ":" in current:
        return
    yield NOSPACE
    yield FILES
    names = ("vm", *(str(vm["name"]) for vm in _ask("vm.list", "vms")))
    yield from _matching(current, ((f"{name}:", "a path in this VM") for name in names), prefix)


def _types(current: str, prefix: str) -> Iterator[str]:
    """Return the types and groups of events."""
    from gaovm.model import event_names

    found = sorted({*event_names.GROUPS, *event_names.TYPES})
    yield from _matching(current, ((name, "") for name in found), prefix)


def _files(current: str, prefix: str) -> Iterator[str]:
    yield FILES


#: Placeholder of a usage line -> its candidates. Any other placeholder has none.
PLACES: dict[str, Callable[[str, str], Iterator[str]]] = {
    "NAME": _vms,
    "INSTANCE": _vms,
    "IMAGE": _images,
    "DISK": _disks,
    "TEMPLATE": _templates,
    "SOURCE": _sources,
    "KEY=VALUE": _keys,
    "SRC": _places,
    "DST": _places,
    "FILE": _files,
    "TYPE": _types,
}


def _ask(method: str, key: str) -> list[dict[str, object]]:
    """Ask the daemon for a list; return an empty one where no daemon listens."""
    from gaovm.client import blocking, paths

    try:
        with blocking.connect(paths.home(), False, _ANSWER_LIMIT_S) as client:
            answer = client.call(method, {}, _ANSWER_LIMIT_S)
    except errors.GaoError:
        return []
    return [each for each in answer.get(key) or () if isinstance(each, dict)]
