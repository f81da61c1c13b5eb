"""Combine list entries that name the same thing: disks by name, mounts by mount point, networks.

An earlier entry gets what it lacks from a later one, and the later one goes. The key ``*`` means
all earlier entries. Two entries of one file stay apart, unless one is ``*``: that file's author
wrote the same thing twice, and the readers report it.
"""

from __future__ import annotations

from collections.abc import Callable

from gaovm.project import fields, nodes
from gaovm.project.nodes import Node, Sequence, Table

_ANY = "*"


def combine(root: Table) -> Table:
    """Return the tree with the entries of its three keyed lists combined."""
    entries = dict(root.entries)
    for key, (name_of, kept) in _KEYED.items():
        node = entries.get(key)
        if isinstance(node, Sequence) and len(node.items) > 1:
            entries[key] = _combined(node, name_of, kept)
    return Table(root.line, root.path, entries, root.key_lines, root.origin)


def _combined(node: Sequence, name_of: Callable[[Node], str], kept: frozenset[str]) -> Sequence:
    result: list[Node] = []
    places: dict[str, int] = {}
    for item in node.items:
        name = name_of(item)
        first = places.get(name)
        if name == _ANY:
            result = [_filled(one, item, kept | {"mountPoint"}) for one in result]
        elif first is not None and _file(result[first]) != _file(item):
            result[first] = _filled(result[first], item, kept)
        else:
            if name:
                places.setdefault(name, len(result))
            result.append(item)
    items = tuple(nodes.moved(item, f"{node.path}[{n}]") for n, item in enumerate(result))
    return Sequence(node.line, node.path, items, node.origin)


def _file(node: Node) -> str:
    return node.origin.file if node.origin else ""


def _filled(node: Node, other: Node, kept: frozenset[str]) -> Node:
    """Return an entry with the fields of another one that it lacks, but those in ``kept``."""
    if not isinstance(other, Table):
        return node
    if isinstance(node, nodes.Scalar):  # a disk may be its name alone
        name = nodes.Scalar(node.line, f"{node.path}.name", node.text, node.plain, node.origin)
        node = Table(node.line, node.path, {"name": name}, {"name": node.line}, node.origin)
    return _fill(node, other, kept) if isinstance(node, Table) else node


def _fill(node: Table, other: Table, kept: frozenset[str]) -> Table:
    entries, lines = dict(node.entries), dict(node.key_lines)
    linked = any(fields.text(node, key) for key in ("lima", "socket"))
    for key, theirs in other.entries.items():
        ours = entries.get(key)
        if key in kept or nodes.is_null(theirs) or (linked and key in ("lima", "socket")):
            continue
        if ours is None or nodes.is_null(ours) or (isinstance(ours, Sequence) and not ours.items):
            entries[key] = nodes.moved(theirs, f"{node.path}.{key}", _file(other))
            lines[key] = other.key_lines[key]
        elif isinstance(ours, Table) and isinstance(theirs, Table):
            entries[key] = _fill(ours, theirs, frozenset())
    return Table(node.line, node.path, entries, lines, node.origin)


def _disk(node: Node) -> str:
    if isinstance(node, nodes.Scalar):
        return node.text
    return fields.text(node, "name") or "" if isinstance(node, Table) else ""


def _mount(node: Node) -> str:
    if not isinstance(node, Table):
        return ""
    return fields.text(node, "mountPoint") or fields.text(node, "location") or ""


def _network(node: Node) -> str:
    return fields.text(node, "interface") or "" if isinstance(node, Table) else ""


#: list -> what names an entry, and the fields that an entry keeps as they are
_KEYED: dict[str, tuple[Callable[[Node], str], frozenset[str]]] = {
    "additionalDisks": (_disk, frozenset(("name",))),
    "mounts": (_mount, frozenset(("location",))),
    "networks": (_network, frozenset(("interface",))),
}
