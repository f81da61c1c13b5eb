"""Read fields of a checked tree. A wrong type counts as absent: ``check`` has reported it."""

from __future__ import annotations

from gaovm.project import nodes
from gaovm.project.problems import Findings

# the kernel's whole command line has room for 2048 bytes
_MAX_ARGUMENTS = 1024


def get(table: nodes.Table, key: str) -> nodes.Node | None:
    """Return the node of a field; None when it is not set."""
    node = table.entries.get(key)
    return None if node is None or nodes.is_null(node) else node


def scalar(table: nodes.Table, key: str) -> nodes.Scalar | None:
    """Return the scalar of a field."""
    node = get(table, key)
    return node if isinstance(node, nodes.Scalar) else None


def text(table: nodes.Table, key: str) -> str | None:
    """Return a field's text exactly as the file has it."""
    node = scalar(table, key)
    return None if node is None else node.text


def boolean(table: nodes.Table, key: str) -> bool | None:
    """Return a field's boolean."""
    node = scalar(table, key)
    return None if node is None else node.boolean


def table(parent: nodes.Table, key: str) -> nodes.Table:
    """Return a nested mapping; an empty one when the field is not set."""
    node = get(parent, key)
    return node if isinstance(node, nodes.Table) else nodes.Table(parent.line, key, {}, {})


def tables(parent: nodes.Table, key: str) -> list[nodes.Table]:
    """Return the mappings in a list."""
    node = get(parent, key)
    items = node.items if isinstance(node, nodes.Sequence) else ()
    return [item for item in items if isinstance(item, nodes.Table)]


def below(parent: nodes.Table, key: str) -> str:
    """Return the path of a field."""
    return f"{parent.path}.{key}" if parent.path else key


def bounded(parent: nodes.Table, key: str, limits: tuple[int, int], found: Findings) -> int | None:
    """Return a whole number within limits; a number outside of them is a problem."""
    node = scalar(parent, key)
    number = None if node is None else node.integer
    if node is None or number is None:
        return None
    low, high = limits
    if not low <= number <= high:
        what = f"expected a number from {low} to {high}, found {number}"
        found.problem(node, what, remedy=f"write a number from {low} to {high}")
        return None
    return number


def word(parent: nodes.Table, key: str, allowed: tuple[str, ...], found: Findings) -> str | None:
    """Return one of the allowed words; ``default`` and the empty text count as not set."""
    node = scalar(parent, key)
    if node is None or node.text in ("", "default"):
        return None
    if node.text not in allowed:
        listed = ", ".join(allowed)
        what = f"expected one of {listed}; found {nodes.describe(node)}"
        found.problem(node, what, remedy=f"write one of {listed}, or take it out")
        return None
    return node.text


def arguments(parent: nodes.Table, key: str, found: Findings) -> str:
    """Return kernel arguments: one printable line; empty when not set."""
    node = scalar(parent, key)
    if node is None:
        return ""
    if len(node.text) > _MAX_ARGUMENTS or not node.text.isprintable():
        what = f"expected one line of at most {_MAX_ARGUMENTS} characters"
        found.problem(node, what, remedy="shorten it, and keep it on one line")
        return ""
    return node.text
