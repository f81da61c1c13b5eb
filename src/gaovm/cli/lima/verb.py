"""Declare a verb of ``gaovm lima``: its flags are read as Lima reads them.

Beyond ``options`` that is: a flag without a value takes ``=true`` and ``=false``, and every verb
knows the global flags.
"""

from __future__ import annotations

from gaovm import errors
from gaovm.cli import options
from gaovm.cli.lima import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_TRUE = ("1", "t", "T", "true", "TRUE", "True")
_FALSE = ("0", "f", "F", "false", "FALSE", "False")
GLOBAL = (
    options.Option("--debug", "say more, for finding a mistake"),
    options.Option("--log-level", "how much is said", value="LEVEL", choices=say.LEVELS),
    options.Option("--log-format", "how it is said", value="FORM", choices=("text", "json")),
    options.Option("--tty", "ask questions (default: when the output is a terminal)"),
    options.Option("-y, --yes", "answer questions with yes, and ask none"),
)
NO = "no-"


class Verb(options.Command):
    """Declare one verb. ``do`` runs it with its words, and the log to write to."""

    def __init__(  # noqa: PLR0913  (a declaration: every part is named where it is used)
        self,
        name: str,
        do: Callable[[options.Parsed, say.Log], int],
        *,
        about: str,
        words: str = "",
        count: tuple[int, int] = (0, 0),
        flags: tuple[options.Option, ...] = (),
        examples: tuple[str, ...] = (),
        rest: str = "",
        greedy: bool = False,
    ) -> None:
        super().__init__(
            name,
            _unused,
            about=about,
            words=words,
            count=count,
            options=(*flags, *GLOBAL),
            examples=examples,
            rest=rest,
            greedy=greedy,
        )
        self.do = do

    def usage(self) -> str:
        """Return the usage line."""
        parts = [f"gaovm lima {self.name} [flags]", self.words, self.rest]
        return " ".join(part for part in parts if part)

    def mistake(self, message: str, remedy: str = "") -> errors.UsageError:
        """Return a usage error of this verb."""
        return errors.UsageError(message, remedy=remedy or f"gaovm lima {self.name} --help")

    def _option(
        self,
        word: str,
        queue: list[str],
        parsed: options.Parsed,
        table: dict[str, options.Option],
    ) -> None:
        name, equals, value = word.partition("=")
        option = table.get(name) if name.startswith("--") else None
        if option is None or option.value or not equals:
            super()._option(word, queue, parsed, table)
        elif value in _TRUE:
            parsed.values.setdefault(option.key, [])
        elif value in _FALSE:
            parsed.values.pop(option.key, None)
            parsed.values[NO + option.key] = []
        else:
            raise self.mistake(f"invalid argument {value!r} for {name}: expected true or false")


def leading(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split a command line into the global flags before the verb, and the rest."""
    table = {name: option for option in GLOBAL for name in option.names}
    queue, flags = list(words), []
    while queue and queue[0].startswith("-"):
        name, equals, _ = queue[0].partition("=")
        if name not in table:
            break
        flags.append(queue.pop(0))
        if table[name].value and not equals and queue:
            flags.append(queue.pop(0))
    return flags, queue


def may_ask(parsed: options.Parsed) -> bool:
    """Tell whether a person can be asked: ``--tty``, by default when both ends are a terminal."""
    import sys

    if parsed.flag(NO + "tty") or parsed.flag("yes"):
        return False
    return sys.stdin.isatty() and (parsed.flag("tty") or sys.stdout.isatty())


def _unused(parsed: options.Parsed) -> int:
    raise errors.InternalError("a verb of gaovm lima is run by its own main")
