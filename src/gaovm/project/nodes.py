"""YAML text -> a small tree that keeps lines and paths, with YAML 1.2's idea of scalars.

PyYAML resolves scalars by YAML 1.1, where ``on`` is true and ``0644`` is 420. Only its node level
is used; what a plain scalar means is decided here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import yaml

from gaovm import errors

# A config is a few kB; these keep hostile files (deep nesting, alias bombs) cheap.
MAX_TEXT = 256 << 10
_MAX_DEPTH = 24
_MAX_NODES = 20_000

_NULLS = {"", "~", "null", "Null", "NULL"}
_TRUE = {"true", "True", "TRUE"}
_FALSE = {"false", "False", "FALSE"}
_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)\Z|0x[0-9a-fA-F]+\Z|0o[0-7]+\Z")
_TAGS = frozenset(
    f"tag:yaml.org,2002:{name}"
    for name in ("str", "int", "float", "bool", "null", "timestamp", "merge", "value", "seq", "map")
)


@dataclass(frozen=True, slots=True)
class Scalar:
    """A single value as it is written; ``plain``: without quotes."""

    line: int
    path: str
    text: str
    plain: bool

    @property
    def is_null(self) -> bool:
        """Whether the value is absent."""
        return self.plain and self.text in _NULLS

    @property
    def boolean(self) -> bool | None:
        """The value as true or false; ``yes``, ``on`` and quoted words are neither."""
        if not self.plain:
            return None
        return True if self.text in _TRUE else False if self.text in _FALSE else None

    @property
    def integer(self) -> int | None:
        """The value as a whole number; ``0644`` is none, for YAML versions disagree on it."""
        if self.plain and len(self.text) < 32 and _INT.match(self.text):
            return int(self.text, 0)
        return None


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list."""

    line: int
    path: str
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A mapping; ``key_lines`` holds the line of each key."""

    line: int
    path: str
    entries: dict[str, Node]
    key_lines: dict[str, int]


Node = Scalar | Sequence | Table


class Malformed(Exception):
    """The text is no YAML document of the kind wanted. Internal: ``config`` translates it."""

    def __init__(self, line: int, message: str, path: str = "") -> None:
        super().__init__(message)
        self.problem = (line, path, message)


def is_null(node: Node) -> bool:
    """Whether a node is a null scalar."""
    return isinstance(node, Scalar) and node.is_null


def describe(node: Node) -> str:
    """What a node is, for messages: ``a list``, ``a mapping``, or the text itself."""
    if isinstance(node, Sequence):
        return "a list"
    if isinstance(node, Table):
        return "a mapping"
    if node.is_null:
        return "nothing"
    shown = node.text if len(node.text) <= 60 else node.text[:60] + "…"
    quote = "" if node.plain else '"'
    return f"`{quote}{shown}{quote}`"


def line_of(root: Table, path: str) -> int:
    """The line of a path of the tree, or of the nearest part of it that is there."""
    best, found = root.line, -1
    waiting: list[tuple[Node, int]] = [(root, root.line)]
    while waiting:
        node, line = waiting.pop()
        if path.startswith(node.path) and path[len(node.path) :][:1] in ("", ".", "["):
            if len(node.path) > found:
                best, found = line, len(node.path)
        elif node.path:
            continue
        if isinstance(node, Table):
            waiting += [(below, node.key_lines[key]) for key, below in node.entries.items()]
        elif isinstance(node, Sequence):
            waiting += [(below, below.line) for below in node.items]
    return best


def parse(text: str) -> Table:
    """The document as a tree; an empty one is an empty mapping.

    Raises:
        Malformed: no valid YAML, not one mapping, too large, or a key that occurs twice.
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


class _Loader(yaml.SafeLoader):
    """Refuses deep nesting while it scans: PyYAML takes seconds to find that out by itself."""

    def fetch_flow_collection_start(self, TokenClass: type) -> None:
        if self.flow_level >= _MAX_DEPTH:
            raise yaml.MarkedYAMLError(problem="nested too deeply", problem_mark=self.get_mark())
        super().fetch_flow_collection_start(TokenClass)

    def add_indent(self, column: int) -> bool:
        if len(self.indents) > _MAX_DEPTH:
            raise yaml.MarkedYAMLError(problem="nested too deeply", problem_mark=self.get_mark())
        return bool(super().add_indent(column))


def _compose(text: str) -> yaml.Node | None:
    try:
        node: yaml.Node | None = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        message = exc.problem or exc.context or "not valid YAML"
        raise Malformed(mark.line + 1 if mark else 1, f"not valid YAML: {message}") from exc
    except yaml.reader.ReaderError as exc:
        line = text.count("\n", 0, exc.position) + 1
        raise Malformed(line, "not valid YAML: a character that is not printable") from exc
    except RecursionError as exc:
        raise Malformed(1, "not valid YAML: nested too deeply") from exc
    except (yaml.YAMLError, ValueError) as exc:
        raise Malformed(1, f"not valid YAML: {exc}") from exc
    return node


class _Converter:
    """Turns PyYAML's nodes into ours; counts them, because aliases can multiply."""

    def __init__(self) -> None:
        self._count = 0

    def convert(self, node: yaml.Node, path: str, depth: int) -> Node:
        line = node.start_mark.line + 1
        self._count += 1
        if self._count > _MAX_NODES:
            raise Malformed(line, "too many values (aliases multiply them)", path)
        if depth > _MAX_DEPTH:
            raise Malformed(line, "nested too deeply", path)
        if node.tag not in _TAGS:
            raise Malformed(line, f"the tag {node.tag} is not supported", path)
        if isinstance(node, yaml.ScalarNode):
            return Scalar(line, path, node.value, node.style is None)
        if isinstance(node, yaml.SequenceNode):
            items = tuple(
                self.convert(item, f"{path}[{index}]", depth + 1)
                for index, item in enumerate(node.value)
            )
            return Sequence(line, path, items)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, depth)
        raise errors.InternalError(f"unknown YAML node {type(node).__name__}")

    def _mapping(self, node: yaml.MappingNode, path: str, depth: int) -> Table:
        table = Table(node.start_mark.line + 1, path, {}, {})
        merged: list[Table] = []
        for key_node, value in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise Malformed(line, "a key must be a word", path)
            key = key_node.value
            if key == "<<" and key_node.style is None:
                merged += self._merge(value, path, depth)
                continue
            where = f"{path}.{key}" if path else key
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

    def _merge(self, value: yaml.Node, path: str, depth: int) -> list[Table]:
        """The mappings behind ``<<``; an earlier one wins over a later one."""
        sources = value.value if isinstance(value, yaml.SequenceNode) else [value]
        found = []
        for source in sources:
            table = self.convert(source, path, depth + 1)
            if not isinstance(table, Table):
                raise Malformed(table.line, "`<<` takes a mapping", path)
            found.append(table)
        return found
