"""YAML text -> a small tree that keeps lines and paths, with YAML 1.2's idea of scalars.

PyYAML resolves scalars by YAML 1.1, where ``on`` is true and ``0644`` is 420. So this module uses
only the events of libyaml, which PyYAML includes, and decides itself what a plain scalar means.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from gaovm import errors

# A config is a few kB; these limits keep hostile files (deep nesting, alias bombs) cheap.
MAX_TEXT = 256 << 10
_MAX_DEPTH = 24
MAX_NODES = 20_000
_MAX_CHARACTERS = 4 * MAX_TEXT  # includes the text that aliases repeat
_MAX_PATH = 512

_NULLS = {"", "~", "null", "Null", "NULL"}
_TRUE = {"true", "True", "TRUE"}
_FALSE = {"false", "False", "FALSE"}
_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)\Z|0x[0-9a-fA-F]+\Z|0o[0-7]+\Z")
_TAGS = frozenset((None, "!")) | frozenset(
    f"tag:yaml.org,2002:{name}"
    for name in ("str", "int", "float", "bool", "null", "timestamp", "merge", "value", "seq", "map")
)
#: A word of a message -> what to do; the first that fits.
_ADVICE = (
    ("occurs twice", "take one of the two out"),
    ("larger than", "a config is a few KiB: put scripts into files of their own (provision.file)"),
    ("more than", "take entries out"),
    ("too many values", "write aliases out, and take entries out"),
    ("too much text", "write aliases out, and shorten scripts"),
    ("too deeply", "take levels of nesting out; no field needs this many"),
    ("too long", "shorten the key"),
    ("tab", "indent with spaces"),
    ("tag", "take the tag (`!…`) out"),
    ("second document", "keep one document: take `---` out"),
    ("not printable", "take the character out, or write it as an escape between double quotes"),
    ("expected a mapping", "write `field: value` lines"),
    ("no anchor", "define `&name` above its use"),
)
_BINARY = "tag:yaml.org,2002:binary"


@dataclass(frozen=True, slots=True)
class Origin:
    """The place that the user wrote a node at: ``path`` in ``file``; ``file`` "": the main file."""

    file: str
    path: str


@dataclass(frozen=True, slots=True)
class Scalar:
    """A single value as the file has it; ``plain``: without quotes.

    ``origin`` is set on a node that another file brought in, or that moved in its list; ``path`` is
    then its place in the whole config.
    """

    line: int
    path: str
    text: str
    plain: bool
    origin: Origin | None = None

    @property
    def is_null(self) -> bool:
        """Whether the value is absent."""
        return self.plain and self.text in _NULLS

    @property
    def boolean(self) -> bool | None:
        """The value as a boolean; None for anything else, also ``yes``, ``on`` and quoted words."""
        if not self.plain:
            return None
        return True if self.text in _TRUE else False if self.text in _FALSE else None

    @property
    def integer(self) -> int | None:
        """The value as a whole number; None for ``0644``, on which YAML versions disagree."""
        if self.plain and len(self.text) < 32 and _INT.match(self.text):
            return int(self.text, 0)
        return None


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list."""

    line: int
    path: str
    items: tuple[Node, ...]
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """A mapping; ``key_lines`` holds the line of each key."""

    line: int
    path: str
    entries: dict[str, Node]
    key_lines: dict[str, int]
    origin: Origin | None = None


Node = Scalar | Sequence | Table


class Malformed(Exception):
    """The text is not a YAML document of the wanted kind. Internal: ``config`` translates it.

    ``problem``: line, path, message, remedy.
    """

    def __init__(self, line: int, message: str, path: str = "", remedy: str = "") -> None:
        super().__init__(message)
        self.problem = (line, path, message, remedy or _advice(message))


def _advice(message: str) -> str:
    for word, advice in _ADVICE:
        if word in message:
            return advice
    return "look at this line and the one before it: quotes, colons and indentation"


def is_null(node: Node) -> bool:
    """Return whether a node is a null scalar."""
    return isinstance(node, Scalar) and node.is_null


def describe(node: Node) -> str:
    """Describe a node for messages: ``a list``, ``a mapping``, or the text itself."""
    if isinstance(node, Sequence):
        return "a list"
    if isinstance(node, Table):
        return "a mapping"
    if node.is_null:
        return "nothing"
    quote = "" if node.plain else '"'
    return f"`{quote}{_short(node.text)}{quote}`"


def size(node: Node) -> int:
    """Return the number of values below a node, itself included."""
    if isinstance(node, Table):
        return 1 + sum(map(size, node.entries.values()))
    return 1 + sum(map(size, node.items)) if isinstance(node, Sequence) else 1


def place_of(root: Table, path: str) -> tuple[str, int]:
    """Return file ("": the main one) and line of a path, or of the nearest parent that exists."""
    best, found = ("", root.line), -1
    waiting: list[tuple[Node, int]] = [(root, root.line)]
    while waiting:
        node, line = waiting.pop()
        if path.startswith(node.path) and path[len(node.path) :][:1] in ("", ".", "["):
            if len(node.path) > found:
                best = (node.origin.file if node.origin else "", line)
                found = len(node.path)
        elif node.path:
            continue
        if isinstance(node, Table):
            waiting += [(below, node.key_lines[key]) for key, below in node.entries.items()]
        elif isinstance(node, Sequence):
            waiting += [(below, below.line) for below in node.items]
    return best


def moved(node: Node, path: str, file: str = "") -> Node:
    """Return a node at another path. It keeps its origin; ``file`` is that of a node without one.

    An empty ``file`` is the main one.
    """
    if node.path == path and (node.origin is not None or not file):
        return node
    origin = node.origin or Origin(file, node.path)
    if isinstance(node, Scalar):
        return Scalar(node.line, path, node.text, node.plain, origin)
    if isinstance(node, Sequence):
        items = (moved(item, f"{path}[{n}]", file) for n, item in enumerate(node.items))
        return Sequence(node.line, path, tuple(items), origin)
    entries = {
        key: moved(entry, f"{path}.{key}" if path else key, file)
        for key, entry in node.entries.items()
    }
    return Table(node.line, path, entries, node.key_lines, origin)


def parse(text: str) -> Table:
    """Parse the document into a tree; an empty document gives an empty mapping.

    Raises:
        Malformed: the text is not valid YAML, not one mapping, too large, or has a key twice.
    """
    if len(text) > MAX_TEXT:
        raise Malformed(1, f"the file is larger than {MAX_TEXT >> 10} KiB")
    root = _compose(text)
    if root is None:
        return Table(1, "", {}, {})
    converted = _Converter().convert(root, "", 0)
    if is_null(converted):
        return Table(1, "", {}, {})
    if not isinstance(converted, Table):
        raise Malformed(converted.line, f"expected a mapping, found {describe(converted)}")
    return converted


@dataclass(slots=True)
class _Raw:
    """A node as the file has it, before it has a path; a list has ``items``, a mapping ``pairs``.

    ``tag`` is None when the file gives none.
    """

    line: int
    tag: str | None
    text: str = ""
    plain: bool = False
    items: list[_Raw] | None = None
    pairs: list[tuple[_Raw, _Raw]] | None = None


class _Composer:
    """Turn libyaml's events into raw nodes, and stop at the first node above the limit.

    libyaml's scanner takes linear time; PyYAML's own takes a second for 60 KiB of flow lists.
    """

    def __init__(self, text: str) -> None:
        if not yaml.__with_libyaml__:
            raise errors.ProgramMissing(
                "PyYAML was built without libyaml, which GaoVM needs to read config files",
                remedy="install GaoVM again: ./scripts/setup takes PyYAML's wheel with libyaml",
            )
        self._events = iter(yaml.parse(text, Loader=yaml.CBaseLoader))
        self._anchors: dict[str, _Raw] = {}
        self._count = 0

    def document(self) -> _Raw | None:
        """Return the root of the only document; None when there is no document."""
        root: _Raw | None = None
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                if root is not None:
                    raise Malformed(_line(event), "not valid YAML: a second document begins here")
                root = self._node(next(self._events), 0)
        return root

    def _node(self, event: Any, depth: int) -> _Raw:
        line = _line(event)
        self._count += 1
        if self._count > MAX_NODES:
            raise Malformed(line, f"more than {MAX_NODES} values")
        if depth > _MAX_DEPTH:
            raise Malformed(line, "not valid YAML: nested too deeply")
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise Malformed(
                    line, f"not valid YAML: no anchor {_short(str(event.anchor))} above"
                )
            return self._anchors[event.anchor]
        raw = _Raw(line, event.tag)
        if event.anchor is not None:
            self._anchors[event.anchor] = raw
        if isinstance(event, yaml.ScalarEvent):
            raw.text, raw.plain = event.value, event.style in (None, "")
        elif isinstance(event, yaml.SequenceStartEvent):
            raw.items = list(self._below(depth))
        else:
            below = self._below(depth)
            raw.pairs = [(key, next(below)) for key in below]
        return raw

    def _below(self, depth: int) -> Iterator[_Raw]:
        while not isinstance(event := next(self._events), yaml.CollectionEndEvent):
            yield self._node(event, depth + 1)


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:60] + "…"


def _compose(text: str) -> _Raw | None:
    try:
        return _Composer(text).document()
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        message = exc.problem or exc.context or "not valid YAML"
        raise Malformed(mark.line + 1 if mark else 1, f"not valid YAML: {message}") from exc
    except yaml.reader.ReaderError as exc:
        line = _line_of_byte(text, exc.position)
        raise Malformed(line, "not valid YAML: a character that is not printable") from exc
    except (yaml.YAMLError, ValueError) as exc:
        raise Malformed(1, f"not valid YAML: {_short(str(exc))}") from exc


def _line_of_byte(text: str, position: int) -> int:
    """Return the line of a position that libyaml gives in bytes of UTF-8."""
    return text.encode(errors="replace").count(b"\n", 0, position) + 1


class _Converter:
    """Turn raw nodes into ours; count nodes and text, because aliases can multiply them."""

    def __init__(self) -> None:
        self._count = 0
        self._characters = 0

    def convert(self, node: _Raw, path: str, depth: int) -> Node:
        """Convert a node at its path.

        Raises:
            Malformed: the node is too large, too deep, or of a kind that a config cannot hold.
        """
        line = node.line
        self._count += 1
        if self._count > MAX_NODES:
            raise Malformed(line, "too many values (aliases multiply them)", path)
        if depth > _MAX_DEPTH:
            raise Malformed(line, "nested too deeply", path)
        if node.tag == _BINARY and node.items is None and node.pairs is None:
            return self._binary(node, path)
        if node.tag not in _TAGS:
            raise Malformed(line, f"the tag {_short(str(node.tag))} is not supported", path)
        if node.items is not None:
            items = tuple(
                self.convert(item, f"{path}[{index}]", depth + 1)
                for index, item in enumerate(node.items)
            )
            return Sequence(line, path, items)
        if node.pairs is not None:
            return self._mapping(node, node.pairs, path, depth)
        self._characters += len(node.text)
        if self._characters > _MAX_CHARACTERS:
            raise Malformed(line, "too much text (aliases multiply it)", path)
        return Scalar(line, path, node.text, node.plain)

    def _binary(self, node: _Raw, path: str) -> Scalar:
        """Return what ``!!binary`` encodes: Lima writes scripts with odd characters so."""
        self._characters += len(node.text)
        if self._characters > _MAX_CHARACTERS:
            raise Malformed(node.line, "too much text (aliases multiply it)", path)
        try:
            text = base64.b64decode("".join(node.text.split()), validate=True).decode()
        except ValueError as exc:
            raise Malformed(node.line, "`!!binary` takes UTF-8 text in base64", path) from exc
        return Scalar(node.line, path, text, False)

    def _mapping(self, node: _Raw, pairs: list[tuple[_Raw, _Raw]], path: str, depth: int) -> Table:
        table = Table(node.line, path, {}, {})
        merged: list[Table] = []
        for key_node, value in pairs:
            line, key = key_node.line, key_node.text
            if key_node.items is not None or key_node.pairs is not None:
                raise Malformed(line, "a key must be a word", path)
            if key == "<<" and key_node.plain:
                merged += self._merge(value, path, depth)
                continue
            where = f"{path}.{key}" if path else key
            if len(where) > _MAX_PATH:
                raise Malformed(line, f"a key is too long: {_short(key)}", _short(path))
            if key in table.entries:
                first = table.key_lines[key]
                raise Malformed(line, f"the key occurs twice, first on line {first}", where)
            table.entries[key] = self.convert(value, where, depth + 1)
            table.key_lines[key] = line
        for source in merged:
            for key, entry in source.entries.items():
                if key not in table.entries:
                    table.entries[key] = entry
                    table.key_lines[key] = source.key_lines[key]
        return table

    def _merge(self, value: _Raw, path: str, depth: int) -> list[Table]:
        """Return the mappings behind ``<<``; an earlier one wins over a later one."""
        sources = [value] if value.items is None else value.items
        found = []
        for source in sources:
            table = self.convert(source, path, depth + 1)
            if not isinstance(table, Table):
                raise Malformed(table.line, "`<<` takes a mapping", path)
            found.append(table)
        return found
