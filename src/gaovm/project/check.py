"""Check a config against the schema: wrong types, unknown fields, fields that are not honoured."""

from __future__ import annotations

from collections.abc import Iterable

from gaovm.errors import suggestions
from gaovm.project import nodes, schema
from gaovm.project.problems import Findings

#: More than elsewhere: Lima has some hundred fields, and many of them are a little alike.
_LIKENESS = 0.7
NOT_HONOURED = "not honoured yet; it has no effect"


def check(root: nodes.Table, found: Findings) -> None:
    """Note every problem and warning that follows from types and names alone."""
    _struct(root, "LimaYAML", found, warn=True)


def _struct(table: nodes.Table, name: str, found: Findings, *, warn: bool) -> None:
    fields = schema.STRUCTS[name]
    honoured = schema.HONOURED.get(name, frozenset())
    for key, node in table.entries.items():
        kind = fields.get(key)
        if kind is None:
            if not found.full:
                line = table.key_lines[key]
                found.problem(nodes.Scalar(line, node.path, key, True), unknown(key, fields))
            continue
        if nodes.is_null(node):
            continue
        ours = key in honoured
        if warn and not ours:
            found.warning(node, NOT_HONOURED)
        _value(node, kind, found, warn=warn and ours)


def unknown(key: str, fields: Iterable[str]) -> str:
    """Return the message for an unknown field; it names a similar known one."""
    hint = suggestions.did_you_mean(key, fields, "`{}`", _LIKENESS)
    return f"unknown field; {hint}" if hint else "unknown field"


def _value(node: nodes.Node, kind: schema.Kind, found: Findings, *, warn: bool) -> None:
    if isinstance(kind, schema.Either):
        kind = schema.TEXT if isinstance(node, nodes.Scalar) else kind.other
    if isinstance(kind, schema.ListOf):
        _list(node, kind.item, found, warn=warn)
    elif isinstance(kind, schema.Struct | schema.MapOf):
        if not isinstance(node, nodes.Table):
            found.problem(node, f"expected a mapping, found {nodes.describe(node)}")
        elif isinstance(kind, schema.Struct):
            _struct(node, kind.name, found, warn=warn)
        else:
            _map(node, kind.value, found, warn=warn)
    elif isinstance(kind, str):
        _leaf(node, kind, found)


def _list(node: nodes.Node, kind: schema.Kind, found: Findings, *, warn: bool) -> None:
    if not isinstance(node, nodes.Sequence):
        found.problem(node, f"expected a list, found {nodes.describe(node)}")
        return
    for item in node.items:
        if nodes.is_null(item):
            found.problem(item, "expected a value, found nothing")
        else:
            _value(item, kind, found, warn=warn)


def _map(table: nodes.Table, kind: schema.Kind, found: Findings, *, warn: bool) -> None:
    for item in table.entries.values():
        if not nodes.is_null(item):
            _value(item, kind, found, warn=warn)


def _leaf(node: nodes.Node, kind: str, found: Findings) -> None:
    if kind == schema.ANY:
        return
    ok = isinstance(node, nodes.Scalar) and (
        kind == schema.TEXT
        or (kind == schema.INT and node.integer is not None)
        or (kind == schema.BOOL and node.boolean is not None)
    )
    if not ok:
        found.problem(node, f"expected {schema.LEAVES[kind]}, found {nodes.describe(node)}")
