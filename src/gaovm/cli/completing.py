"""What can stand at the end of a command line: ``gaovm __complete WORDS…``, for shells.

The last of the words is the one that is being typed, and may be empty. Each candidate is a line:
the word, a tab, one line about it. ``:files`` says that file names can stand there too,
``:nospace`` that the word goes on after a candidate. All of it comes from the declarations of the
commands. Names of VMs and images come from the daemon; where none listens there are none. Nothing
is started, and nothing is said of an error.
"""

from __future__ import annotations

import sys

from gaovm import errors
from gaovm.cli import catalog

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from gaovm.cli import options

    #: Words and what they are; the empty line about a word is left out.
    Candidates = Iterable[tuple[str, str]]

FILES = ":files"
NOSPACE = ":nospace"
_HELP = ("help", "show what a command does")
_ANSWER_LIMIT_S = 1.0


def run(words: Sequence[str]) -> int:
    """Print the candidates; always 0, for a shell has no use for an error."""
    try:
        lines = list(candidates(list(words) or [""]))
    except (errors.GaoError, OSError):
        return 0
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 0


def candidates(words: list[str]) -> Iterator[str]:
    """The lines for a command line whose last word is being typed."""
    *before, current = words
    while before and before[0] in ("help", "-h", "--help"):
        before.pop(0)
        if not before:
            yield from _matching(current, catalog.names(""))
            return
    if not before:
        yield from _matching(current, [*catalog.names(""), _HELP])
        return
    command, given = catalog.find(before)
    if command is None:
        yield from _matching(current, catalog.names(before[0]))
    else:
        yield from _of_command(command, given, current)


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
    """What the words before the current one leave open; the parser's rules, without its errors."""

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
        """The options that can still be given, the long name of each first."""
        for option in self._command.options:
            if option.many or option.key not in self._used:
                for name in reversed(option.names):
                    yield name, option.about

    def places(self) -> list[str]:
        """What the next word without a dash can be, in the words of the usage line."""
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
    """What can stand for a placeholder such as ``[NAME]`` or ``KEY=VALUE...``."""
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


def _templates(current: str, prefix: str) -> Iterator[str]:
    from gaovm.project import templates

    yield from _matching(current, ((name, "") for name in templates.NAMES), prefix)


def _keys(current: str, prefix: str) -> Iterator[str]:
    """The keys of a VM's config."""
    from gaovm.project import overrides

    if "=" not in current:
        yield NOSPACE
        yield from _matching(current, ((f"{key}=", "") for key in overrides.words()), prefix)


def _places(current: str, prefix: str) -> Iterator[str]:
    """A file here, or one in a VM, of which only the VM's name is known."""
    if ":" in current:
        return
    yield NOSPACE
    yield FILES
    names = ("vm", *(str(vm["name"]) for vm in _ask("vm.list", "vms")))
    yield from _matching(current, ((f"{name}:", "a path in this VM") for name in names), prefix)


def _files(current: str, prefix: str) -> Iterator[str]:
    yield FILES


#: A placeholder of a usage line -> what can stand there. Others can be anything.
PLACES: dict[str, Callable[[str, str], Iterator[str]]] = {
    "NAME": _vms,
    "IMAGE": _images,
    "TEMPLATE": _templates,
    "KEY=VALUE": _keys,
    "SRC": _places,
    "DST": _places,
    "FILE": _files,
}


def _ask(method: str, key: str) -> list[dict[str, object]]:
    """A list of the daemon; empty where none listens."""
    from gaovm.cli import calls

    try:
        with calls.connect(start=False) as client:
            answer = client.call(method, {}, _ANSWER_LIMIT_S)
    except errors.GaoError:
        return []
    return [each for each in answer.get(key) or () if isinstance(each, dict)]
