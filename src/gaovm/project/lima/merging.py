"""Merge a base into a file: what the file says stays, lists grow.

A list of the base is appended; ``provision`` and ``probes`` are prepended, so that a base's
scripts run first. ``dns`` comes from the base only when the file has none. The higher of two
minimum versions counts. These are Lima's rules of ``base``.
"""

from __future__ import annotations

from gaovm.project import fields, nodes
from gaovm.project.lima import versions
from gaovm.project.nodes import Node, Sequence, Table

_PREPENDED = frozenset(("provision", "probes"))
_UNIQUE = frozenset(("mountTypesUnsupported",))
_MINIMA = (("minimumLimaVersion",), ("vmOpts", "qemu", "minimumVersion"))


def merge(main: Table, base: Table) -> Table:
    """Return ``main`` with the base's values added."""
    merged = _tables(main, base)
    for keys in _MINIMA:
        ours, theirs = _text(main, keys), _text(base, keys)
        if ours is not None and theirs is not None and versions.newer(theirs.text, ours.text):
            _put(merged, base, keys)
    return merged


def concatenated(first: Sequence, second: Sequence, path: str) -> tuple[Node, ...]:
    """Return the items of two lists, each at its new place."""
    items = (*first.items, *second.items)
    return tuple(nodes.moved(item, f"{path}[{n}]") for n, item in enumerate(items))


def unique(items: tuple[Node, ...]) -> tuple[Node, ...]:
    """Return the items without texts that an earlier item has."""
    kept: dict[object, Node] = {}
    for item in items:
        key = item.text if isinstance(item, nodes.Scalar) else item.path
        kept.setdefault(key, item)
    return tuple(kept.values())


def _tables(main: Table, base: Table) -> Table:
    entries, lines = dict(main.entries), dict(main.key_lines)
    for key, theirs in base.entries.items():
        ours = entries.get(key)
        if ours is None:
            entries[key], lines[key] = theirs, base.key_lines[key]
        elif isinstance(ours, Table) and isinstance(theirs, Table):
            entries[key] = _tables(ours, theirs)
        elif isinstance(ours, Sequence) and isinstance(theirs, Sequence):
            entries[key] = _lists(ours, theirs)
    return Table(main.line, main.path, entries, lines, main.origin)


def _lists(main: Sequence, base: Sequence) -> Sequence:
    if main.path == "dns" and main.items:
        return main
    first, second = (base, main) if main.path in _PREPENDED else (main, base)
    items = concatenated(first, second, main.path)
    if main.path in _UNIQUE:
        items = unique(items)
    return Sequence(main.line, main.path, items, main.origin)


def _text(table: Table, keys: tuple[str, ...]) -> nodes.Scalar | None:
    for key in keys[:-1]:
        table = fields.table(table, key)
    return fields.scalar(table, keys[-1])


def _put(merged: Table, base: Table, keys: tuple[str, ...]) -> None:
    for key in keys[:-1]:
        merged, base = fields.table(merged, key), fields.table(base, key)
    merged.entries[keys[-1]] = base.entries[keys[-1]]
    merged.key_lines[keys[-1]] = base.key_lines[keys[-1]]
