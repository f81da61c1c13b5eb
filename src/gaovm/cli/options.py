"""Declare command-line options once: a declaration parses, and writes the ``--help`` text.

Every command loads this module, and ``argparse`` alone costs 10 ms.
It understands ``--name V``, ``--name=V``, ``-n V``, ``-nV``, bundled flags (``-ft``), ``--`` as the
end of options. Nothing here prints or exits.
"""

from __future__ import annotations

from gaovm import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


#: The longest duration, in days: poll(2) takes a 32-bit number of milliseconds.
_LONGEST_D = 20


class Option:
    """One option. ``names`` as shown in help (``"-n, --lines"``); without ``value`` it is a flag.

    ``kind``: ``text``, ``number`` (an integer from 0) or ``duration`` (as in config files).
    ``many`` collects every use; ``choices`` limits the values.
    """

    def __init__(
        self,
        names: str,
        about: str,
        *,
        value: str = "",
        kind: str = "text",
        many: bool = False,
        choices: tuple[str, ...] = (),
    ) -> None:
        self.names = names.split(", ")
        self.about = about
        self.value = value
        self.kind = kind
        self.many = many
        self.choices = choices

    @property
    def key(self) -> str:
        """Return the long name without dashes."""
        return self.names[-1].lstrip("-")

    def text(self) -> str:
        """Say what the option does, with its choices."""
        return f"{self.about} ({', '.join(self.choices)})" if self.choices else self.about

    def head(self) -> str:
        """Return the left column of the help text."""
        indent = "" if self.names[0].startswith("--") is False else "    "
        text = indent + ", ".join(self.names)
        return f"{text} {self.value}" if self.value else text


NAME = Option("--name", "the VM (default: $VM_NAME, else the VM of this project)", value="NAME")
JSON = Option("--json", "print JSON")
QUIET = Option("-q, --quiet", "no progress")
_HELP = Option("-h, --help", "show this text")


class Parsed:
    """Hold what the user gave: ``words`` before ``--``, ``rest`` after it, options by long name."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.rest: list[str] = []
        self.values: dict[str, list[str]] = {}

    def flag(self, key: str) -> bool:
        """Tell whether the option was given."""
        return key in self.values

    def many(self, key: str) -> list[str]:
        """Return every value of the option, in order."""
        return self.values.get(key, [])

    def text(self, key: str) -> str | None:
        """Return the last value of the option."""
        found = self.values.get(key)
        return found[-1] if found else None

    def number(self, key: str) -> int | None:
        """Return the value as an integer; ``parse`` has checked it."""
        found = self.text(key)
        return None if found is None else int(found)

    def seconds(self, key: str) -> float | None:
        """Return the value of a duration in seconds."""
        found = self.text(key)
        if found is None:
            return None
        from gaovm.project import durations

        return durations.parse(found)

    def word(self, index: int = 0) -> str | None:
        """Return the positional word at ``index``."""
        return self.words[index] if index < len(self.words) else None


class Command:
    """Declare one command: its usage, its help text, and the function that runs it.

    ``words`` is the usage text of the positional words; ``count`` says how many (least, most).
    ``rest`` names the words after ``--``. With ``greedy``, options end at the first word, which
    then belongs to ``rest``. ``own_failure`` replaces the exit code of every error of gaovm itself.
    """

    def __init__(  # noqa: PLR0913  (a declaration: every part is named where it is used)
        self,
        name: str,
        run: Callable[[Parsed], int],
        *,
        about: str,
        words: str = "",
        count: tuple[int, int] = (0, 0),
        options: tuple[Option, ...] = (),
        examples: tuple[str, ...] = (),
        rest: str = "",
        greedy: bool = False,
        own_failure: int | None = None,
    ) -> None:
        self.name = name
        self.run = run
        self.about = about
        self.words = words
        self.count = count
        self.options = (*options, _HELP)
        self.examples = examples
        self.rest = rest
        self.greedy = greedy
        self.own_failure = own_failure

    def usage(self) -> str:
        """Return the usage line."""
        parts = [f"gaovm {self.name} [options]", self.words, self.rest]
        return " ".join(part for part in parts if part)

    def parse(self, argv: Sequence[str]) -> Parsed:
        """Parse the words after the command's name.

        Raises:
            errors.UsageError: unknown option, missing or bad value, wrong number of words.
        """
        parsed = Parsed()
        table = {name: option for option in self.options for name in option.names}
        queue = list(argv)
        while queue:
            word = queue.pop(0)
            if word == "--":
                parsed.rest = queue
                break
            if len(word) > 1 and word.startswith("-"):
                self._option(word, queue, parsed, table)
            elif self.greedy:
                parsed.rest = [word, *queue]
                break
            else:
                parsed.words.append(word)
        if not parsed.flag("help"):
            self._count(parsed)
        return parsed

    def _option(
        self, word: str, queue: list[str], parsed: Parsed, table: dict[str, Option]
    ) -> None:
        name, equals, value = word.partition("=")
        if not word.startswith("--"):
            name, value, equals = word[:2], word[2:], ""
        option = table.get(name)
        if option is None:
            raise self.mistake(f"unknown option {name}", _nearest(name, table))
        if not option.value:
            if equals:
                raise self.mistake(f"{name} takes no value")
            parsed.values.setdefault(option.key, [])
            if value:  # bundled: -ft is -f -t
                self._option("-" + value, queue, parsed, table)
            return
        if not equals and not value:
            if not queue:
                raise self.mistake(f"{name} needs a value ({option.value})")
            value = queue.pop(0)
        self._check(name, option, value)
        parsed.values.setdefault(option.key, []).append(value)

    def _check(self, name: str, option: Option, value: str) -> None:
        if option.choices and value not in option.choices:
            raise self.mistake(f"{name} {value}: must be one of {', '.join(option.choices)}")
        if option.kind == "number" and not (value.isascii() and value.isdigit()):
            raise self.mistake(f"{name} {value}: must be a number")
        if option.kind == "duration":
            from gaovm.project import durations

            try:
                seconds = durations.parse(value)
            except ValueError as exc:
                raise self.mistake(f"{name}: {exc}") from exc
            if seconds > _LONGEST_D * 86400:
                raise self.mistake(f"{name} {value}: must be at most {_LONGEST_D}d")

    def _count(self, parsed: Parsed) -> None:
        least, most = self.count
        if parsed.rest and not self.rest:
            parsed.words += parsed.rest
            parsed.rest = []
        if len(parsed.words) < least:
            raise self.mistake(f"{self.words} is missing")
        if len(parsed.words) > most:
            command = f"gaovm {self.name} -- {' '.join(parsed.words)}" if self.rest else ""
            raise self.mistake(f"unexpected word: {parsed.words[most]}", command)

    def mistake(self, message: str, remedy: str = "") -> errors.UsageError:
        """Return a usage error of this command, with the usage line as the default remedy."""
        usage = f"{self.usage()}   (gaovm help {self.name})"
        return errors.UsageError(message, remedy=remedy or usage)

    def help(self) -> str:
        """Return the whole help text."""
        lines = [self.about.strip(), "", f"Usage:  {self.usage()}", "", "Options:"]
        width = max(len(option.head()) for option in self.options)
        lines += [f"  {option.head():{width}}  {option.text()}" for option in self.options]
        if self.examples:
            lines += ["", "Examples:", *(f"  {example}" for example in self.examples)]
        return "\n".join(lines) + "\n"


def _nearest(name: str, table: dict[str, Option]) -> str:
    from gaovm.errors import suggestions

    return suggestions.did_you_mean(name, table) or ""
