"""Lay a file between the user's ``default.yaml`` and ``override.yaml``, as Lima does at each load.

Values: override, then the file, then default. Maps are merged. Lists: the override's entries
first, then the file's, then default's. Mounts and networks run from low to high, and a higher entry
updates a lower one in place; ``dns`` is the highest list that is not empty.
"""

from __future__ import annotations

from gaovm.project import fields, nodes
from gaovm.project.lima import merging
from gaovm.project.nodes import Node, Sequence, Table

_UPDATED = {"mounts": "location", "networks": "interface"}
_LOW_FIRST = frozenset(("caCerts.files", "caCerts.certs"))
#: Of the user's own files, these say nothing about a VM.
_APART = ("base", "minimumLimaVersion")


def mix(root: Table, default: Table | None, override: Table | None) -> Table:
    """Return the file with the user's defaults below it and the user's overrides over it."""
    if default is not None:
        root = _over(_bare(default), root)
    if override is not None:
        root = _over(root, _bare(override))
    return root


def _bare(table: Table) -> Table:
    entries = {key: node for key, node in table.entries.items() if key not in _APART}
    return Table(table.line, table.path, entries, table.key_lines, table.origin)


def _over(low: Table, high: Table) -> Table:
    entries, lines = dict(high.entries), {**low.key_lines, **high.key_lines}
    for key, lower in low.entries.items():
        higher = entries.get(key)
        if higher is None or nodes.is_null(higher):
            entries[key] = lower
            lines[key] = low.key_lines[key]
        elif isinstance(higher, Table) and isinstance(lower, Table):
            entries[key] = _over(lower, higher)
        elif isinstance(higher, Sequence) and isinstance(lower, Sequence):
            entries[key] = _lists(lower, higher)
    return Table(high.line or low.line, high.path, entries, lines, high.origin)


def _lists(low: Sequence, high: Sequence) -> Sequence:
    path = high.path
    if path == "dns":
        return high if high.items else low
    if path in _UPDATED:
        items = _updated(low, high, _UPDATED[path])
    elif path in _LOW_FIRST:
        items = merging.unique(merging.concatenated(low, high, path))
    else:
        items = merging.concatenated(high, low, path)
    return Sequence(high.line, path, items, high.origin)


def _updated(low: Sequence, high: Sequence, key: str) -> tuple[Node, ...]:
    result: list[Node] = list(low.items)
    places = {name: n for n, item in enumerate(result) if (name := _name(item, key))}
    added: list[Node] = []
    for item in high.items:
        place = places.get(_name(item, key))
        if place is None:
            added.append(item)
            continue
        lower = result[place]
        if isinstance(lower, Table) and isinstance(item, Table):
            result[place] = _replaced(lower, item)
    items = [*result, *added]
    return tuple(nodes.moved(item, f"{high.path}[{n}]") for n, item in enumerate(items))


def _replaced(low: Table, high: Table) -> Table:
    lower = low.entries
    for key, other in (("lima", "socket"), ("socket", "lima")):
        if fields.text(high, key):
            lower = {name: node for name, node in lower.items() if name != other}
    return _over(Table(low.line, low.path, lower, low.key_lines, low.origin), high)


def _name(node: Node, key: str) -> str:
    return fields.text(node, key) or "" if isinstance(node, Table) else ""
