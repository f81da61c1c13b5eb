"""The part of Go's templates that messages of Lima's templates use: values, and choices by them.

``{{.Name}}``, ``{{if eq .HostOS "linux"}}…{{else if …}}…{{else}}…{{end}}``, ``not and or eq ne``,
comments, and the marks ``{{-`` and ``-}}`` that take space away. A template with anything else is
not expanded at all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

Value = str | int | bool | None
#: Returns a value by its path, such as ``("Instance", "Config", "CPUs")``.
Look = Callable[[tuple[str, ...]], Value]
MAX_DEPTH = 20
MAX_ACTIONS = 1000
_SPACE = " \t\r\n"
_WORD = re.compile(
    r"""\s*(?:(?P<text>"(?:[^"\\\n]|\\["\\])*"|`[^`]*`)|(?P<number>-?\d{1,18})(?![\w.])"""
    r"""|(?P<path>(?:\.[A-Za-z_]\w*)+)|(?P<name>[a-z]+)|(?P<mark>[()]))"""
)
_CONSTANTS: dict[str, Value] = {"true": True, "false": False, "nil": None}


class Unsupported(Exception):
    """The text is no template, or one that needs more of Go; it names the action."""


class _Action(NamedTuple):
    text: str
    keyword: str
    condition: str


def expand(template: str, look: Look) -> str:
    """Return the text that a template becomes.

    Raises:
        Unsupported: it uses more than this module knows, or ``look`` raised it for an unknown name.
    """
    done: list[str] = []
    choices = _Choices(look)
    for part in _parts(template):
        if not isinstance(part, str) and part.keyword:
            choices.take(part)
        elif choices.written:
            done.append(part if isinstance(part, str) else _shown(choices.value(part)))
    if choices.open:
        raise Unsupported("{{if …}} without {{end}}")
    return "".join(done)


class _Choices:
    """The ``if``s that are open: whether the present branch is written, and whether one was."""

    def __init__(self, look: Look) -> None:
        self.open: list[tuple[bool, bool]] = []
        self._look = look

    @property
    def written(self) -> bool:
        return all(here for here, _ in self.open)

    def take(self, part: _Action) -> None:
        """Go on behind ``if``, ``else`` or ``end``; a comment changes nothing."""
        if part.keyword == "if":
            if len(self.open) == MAX_DEPTH:
                raise Unsupported(part.text)
            here = self.written and _is_true(self.value(part))
            self.open.append((here, here))
        elif part.keyword != "comment":
            if not self.open:
                raise Unsupported(part.text)
            _, earlier = self.open.pop()
            if part.keyword == "else":
                here = self.written and not earlier
                here = here and (not part.condition or _is_true(self.value(part)))
                self.open.append((here, earlier or here))

    def value(self, part: _Action) -> Value:
        return _evaluate(part.condition, self._look, part.text)


def _parts(template: str) -> Iterator[str | _Action]:
    """Return the texts and actions in turn; the marks have taken the space around them away."""
    at, trim = 0, False
    for _ in range(MAX_ACTIONS):
        begin = template.find("{{", at)
        end = template.find("}}", begin + 2) if begin >= 0 else -1
        text = template[at : begin if begin >= 0 else None]
        if trim:
            text = text.lstrip(_SPACE)
        if begin < 0:
            yield text
            return
        if end < 0:
            raise Unsupported(template[begin : begin + 40])
        inner = template[begin + 2 : end]
        if inner[:1] == "-" and inner[1:2] in _SPACE:
            text, inner = text.rstrip(_SPACE), inner[1:]
        trim = inner[-1:] == "-" and inner[-2:-1] in _SPACE
        if trim:
            inner = inner[:-1]
        yield text
        yield _action(template[begin : end + 2], inner.strip())
        at = end + 2
    raise Unsupported(f"more than {MAX_ACTIONS} actions")


def _action(text: str, inner: str) -> _Action:
    if inner.startswith("/*") and inner.endswith("*/"):
        return _Action(text, "comment", "")
    first, _, rest = inner.partition(" ")
    if first == "else":
        word, _, condition = rest.strip().partition(" ")
        if word not in ("", "if") or (word == "if" and not condition.strip()):
            raise Unsupported(text)
        return _Action(text, "else", condition)
    if first == "if" and rest.strip():
        return _Action(text, "if", rest)
    if inner == "end":
        return _Action(text, "end", "")
    return _Action(text, "", inner)


def _evaluate(expression: str, look: Look, action: str) -> Value:
    words = list(_words(expression, action))
    value, rest = _call(words, look, action)
    if rest:
        raise Unsupported(action)
    return value


def _words(expression: str, action: str) -> Iterator[tuple[str, str]]:
    at, end = 0, len(expression.rstrip())
    while at < end:
        match = _WORD.match(expression, at)
        if match is None or match.lastgroup is None:
            raise Unsupported(action)
        yield match.lastgroup, match[match.lastgroup]
        at = match.end()


def _call(
    words: list[tuple[str, str]], look: Look, action: str, depth: int = 0
) -> tuple[Value, list[tuple[str, str]]]:
    """Return the value of a function's call, or of one operand, and the words behind it."""
    if not words or depth > MAX_DEPTH:
        raise Unsupported(action)
    kind, word = words[0]
    if kind != "name" or word in _CONSTANTS:
        return _operand(words, look, action, depth)
    found: list[Value] = []
    rest = words[1:]
    while rest and rest[0] != ("mark", ")"):
        value, rest = _operand(rest, look, action, depth)
        found.append(value)
    return _apply(word, found, action), rest


def _operand(
    words: list[tuple[str, str]], look: Look, action: str, depth: int
) -> tuple[Value, list[tuple[str, str]]]:
    (kind, word), *rest = words
    if kind == "text":
        plain = word[1:-1]
        return (plain if word[0] == "`" else re.sub(r"\\(.)", r"\1", plain)), rest
    if kind == "number":
        return int(word), rest
    if kind == "path":
        return look(tuple(word[1:].split("."))), rest
    if kind == "name" and word in _CONSTANTS:
        return _CONSTANTS[word], rest
    if word != "(":
        raise Unsupported(action)
    value, rest = _call(rest, look, action, depth + 1)
    if not rest or rest[0] != ("mark", ")"):
        raise Unsupported(action)
    return value, rest[1:]


def _apply(name: str, values: list[Value], action: str) -> Value:
    if name == "not" and len(values) == 1:
        return not _is_true(values[0])
    if name == "eq" and len(values) > 1:
        return any(_same(values[0], other) for other in values[1:])
    if name == "ne" and len(values) == 2:
        return not _same(*values)
    if name == "and" and values:
        return next((value for value in values if not _is_true(value)), values[-1])
    if name == "or" and values:
        return next((value for value in values if _is_true(value)), values[-1])
    raise Unsupported(action)


def _same(one: Value, other: Value) -> bool:
    return type(one) is type(other) and one == other


def _is_true(value: Value) -> bool:
    """As Go: false, 0, the empty text and nothing are not true."""
    return bool(value)


def _shown(value: Value) -> str:
    if value is None:
        return "<no value>"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
