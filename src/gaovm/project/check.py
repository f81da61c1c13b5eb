"""Check a config against the schema: wrong types, unknown fields, fields that are not honoured."""

from __future__ import annotations

from collections.abc import Iterable

from gaovm.errors import suggestions
from gaovm.project import nodes, schema, support
from gaovm.project.problems import Findings

#: More than elsewhere: Lima has some hundred fields, and many of them are a little alike.
_LIKENESS = 0.7
_UNKNOWN_REMEDY = "take it out, or correct it: docs/lima.md lists every field"
NOT_HONOURED = f"{support.LATER}; it has no effect"
_LEAF_REMEDIES = {
    schema.TEXT: "write one value on the same line",
    schema.INT: "write a plain number, without quotes and unit",
    schema.BOOL: "write true or false, without quotes",
}


def check(root: nodes.Table, found: Findings) -> None:
    """Note every problem and warning that follows from types and names alone."""
    _struct(root, "LimaYAML", found, warn=True)


def field(struct: str, key: str, node: nodes.Node, found: Findings) -> bool:
    """Check one field, which will be gone from the whole config; return whether it is fine."""
    before = len(found.problems)
    _value(node, schema.STRUCTS[struct][key], found, warn=False)
    return len(found.problems) == before


def _struct(table: nodes.Table, name: str, found: Findings, *, warn: bool) -> None:
    fields = schema.STRUCTS[name]
    honoured = schema.HONOURED.get(name, frozenset())
    for key, node in table.entries.items():
        kind = fields.get(key)
        if kind is None:
            if not found.full:
                line = table.key_lines[key]
                place = nodes.Scalar(line, node.path, key, True, node.origin)
                found.problem(place, unknown(key, fields), remedy=_UNKNOWN_REMEDY)
            continue
        if nodes.is_null(node):
            continue
        ours = key in honoured
        if warn and not ours and not _is_off(node, key, kind):
            found.warning(node, f"{support.reason(name, key)}; it has no effect")
        _value(node, kind, found, warn=warn and ours)


def _is_off(node: nodes.Node, key: str, kind: schema.Kind) -> bool:
    """Return whether a field asks for nothing: it says what is so without it."""
    if isinstance(node, nodes.Table):
        fields = schema.STRUCTS[kind.name] if isinstance(kind, schema.Struct) else {}
        return all(
            nodes.is_null(entry) or _is_off(entry, below, fields.get(below, schema.TEXT))
            for below, entry in node.entries.items()
        )
    if isinstance(node, nodes.Sequence):
        return not node.items
    if kind == schema.BOOL:
        return node.boolean is (key in support.ON)
    return node.text == "" or (kind == schema.INT and node.integer == 0)


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
            what = f"expected a mapping, found {nodes.describe(node)}"
            found.problem(node, what, remedy="write `field: value` lines below it, indented")
        elif isinstance(kind, schema.Struct):
            _struct(node, kind.name, found, warn=warn)
        else:
            _map(node, kind.value, found, warn=warn)
    elif isinstance(kind, str):
        _leaf(node, kind, found)


def _list(node: nodes.Node, kind: schema.Kind, found: Findings, *, warn: bool) -> None:
    if not isinstance(node, nodes.Sequence):
        what = f"expected a list, found {nodes.describe(node)}"
        found.problem(node, what, remedy="begin each entry on a line of its own with `- `")
        return
    for item in node.items:
        if nodes.is_null(item):
            found.problem(item, "expected a value, found nothing", remedy="take the entry out")
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
        what = f"expected {schema.LEAVES[kind]}, found {nodes.describe(node)}"
        found.problem(node, what, remedy=_LEAF_REMEDIES[kind])
