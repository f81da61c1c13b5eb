"""Each `gaovm …` in our texts is an existing command with options and words that it accepts."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from gaovm import errors
from gaovm.cli import catalog
from gaovm.cli.lima import main as lima

ROOT = Path(__file__).parents[3]
SRC = ROOT / "src" / "gaovm"
#: Placeholder for a value that is known only at run time.
VALUE = "VALUE"
#: Words after "gaovm" where it is a noun, not a command.
PROSE = {"\\-", "{}", "itself", "failed", "says", "with", "is", "as", "COMMAND", VALUE}
_QUOTED = re.compile(r"`gaovm ([^`]+)`")
# up to the end of the command in running text
_PLAIN = re.compile(r"(?<![`\w./])gaovm ([^`\n;,:()&|>]+)")
_END = re.compile(
    r" (?:or|and|then|to|for|is|it|makes|lists|opens|drops|takes|was|works|would|will|writes) "
    r"| would$|  +|[.?!…]$"
)


class Mention(NamedTuple):
    """A command in a text; ``whole`` if the text is nothing but the command."""

    where: str
    text: str
    whole: bool


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """Yield every string of a module except docstrings, with ``VALUE`` for each expression."""
    tree = ast.parse(path.read_text())
    docstrings, parts = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                docstrings.add(first.value)
        if isinstance(node, ast.JoinedStr):
            parts |= {part for part in ast.walk(node) if isinstance(part, ast.Constant)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield (
                node.lineno,
                "".join(
                    str(part.value) if isinstance(part, ast.Constant) else VALUE
                    for part in node.values
                ),
            )
        elif (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and node not in docstrings | parts
        ):
            yield node.lineno, node.value
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "target.command":
            words = [each.value for each in node.args if isinstance(each, ast.Constant)]
            yield node.lineno, " ".join(["gaovm", *map(str, words)])


def mentions() -> Iterator[Mention]:
    for path in sorted(SRC.rglob("*.py")):
        for line, text in texts(path):
            where = f"{path.relative_to(ROOT)}:{line}"
            for found in _QUOTED.finditer(text):
                yield Mention(where, found[1], whole=True)
            for found in _PLAIN.finditer(text):
                words = found[1].strip()
                end = _END.search(words)
                command = words[: end.start()] if end else words
                yield Mention(where, command.strip(), whole=found[0].strip() == text.strip())


MENTIONS = list(mentions())


def documented() -> Iterator[Mention]:
    """Yield the commands in back quotes in the documents that people write."""
    pages = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", *(ROOT / "docs").glob("*.md")]
    for path in pages:
        for line, text in enumerate(path.read_text().splitlines(), 1):
            for found in _QUOTED.finditer(text):
                yield Mention(f"{path.name}:{line}", found[1], whole=False)


def obstacle_of_ours(mention: Mention) -> str | None:
    """Return why a user cannot run the command, None if they can."""
    words = mention.text.split()
    if words[0] in PROSE or (words[0] == "help" and words[-1] in PROSE):
        return None
    if words[0] in {name.split()[0] for name in catalog.COMMANDS if " " in name} and len(words) < 2:
        return None  # a group, as in "the gaovm daemon"
    try:
        command, rest = catalog.find(shlex.split(mention.text) if mention.whole else words)
    except errors.UsageError as exc:
        return exc.message
    if command is None or rest == ["--help"]:
        return None
    known = {name for option in command.options for name in option.names}
    before = rest[: rest.index("--")] if "--" in rest else rest
    for word in before:
        if word.startswith("-") and word != "-" and word.partition("=")[0] not in known:
            return f"{command.name} has no option {word}"
    if mention.whole:
        try:
            command.parse(rest)
        except errors.UsageError as exc:
            if not exc.message.endswith("is missing"):  # named without arguments
                return exc.message
    return None


def obstacle(mention: Mention) -> str | None:
    """Return why a user cannot run the command, None if they can."""
    first, *words = mention.text.split()
    if first.rstrip("'\"") == "lima":
        return obstacle_of_lima(words)
    return obstacle_of_ours(mention)


def obstacle_of_lima(words: list[str]) -> str | None:
    """Return why a user cannot run a verb of Lima's: it does not exist, or lacks an option."""
    if not words or words[0] in ("VERB", "help", "{}", VALUE, "list,"):
        return None
    try:
        verb = lima.load(lima.find(words[0]))
    except errors.UsageError as exc:
        return exc.message
    known = {name for option in verb.options for name in option.names}
    for word in words[1:]:
        if verb.greedy and not word.startswith("-"):
            return None  # the rest belongs to what the verb runs
        if word.startswith("--") and word.partition("=")[0] not in known:
            return f"{verb.name} has no option {word}"
    return None


def test_commands_are_found_and_wrong_ones_are_noticed() -> None:
    assert len(MENTIONS) > 100
    assert obstacle(Mention("", "ls --no-such", whole=False))
    assert obstacle(Mention("", "start web-dev --bogus", whole=True))
    assert obstacle(Mention("", "undo", whole=False))
    assert obstacle(Mention("", "ls one", whole=True))
    assert obstacle(Mention("", "lima lst", whole=False))
    assert obstacle(Mention("", "lima list --jsn", whole=False))


@pytest.mark.parametrize("mention", [*MENTIONS, *documented()], ids=lambda each: each.where)
def test_a_command_that_is_named_exists(mention: Mention) -> None:
    assert obstacle(mention) is None, f"{mention.where}: gaovm {mention.text}"


def remedies() -> Iterator[tuple[str, str]]:
    """Yield the remedies of errors: ``remedy=…`` and ``….remedy = …``."""
    for path in sorted(SRC.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.keyword) and node.arg == "remedy":
                value: ast.expr = node.value
            elif isinstance(node, ast.Assign) and getattr(node.targets[0], "attr", "") == "remedy":
                value = node.value
            else:
                continue
            for part in ast.walk(value):
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    yield f"{path.relative_to(ROOT)}:{value.lineno}", part.value


def test_an_option_in_a_remedy_exists() -> None:
    known = {
        name
        for command in catalog.COMMANDS
        for option in catalog.load(command).options
        for name in option.names
    } | {"--ready-fd", "--foreground"}
    others = ("sudo ", "unshare ", "ssh ", "usermod ")
    for where, text in remedies():
        if any(program in text for program in others):
            continue
        for option in re.findall(r"(?<![\w-])--[a-z][a-z-]+", text):
            assert option in known, f"{where}: {text}"
