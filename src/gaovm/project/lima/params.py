"""``param``: values that scripts and paths take as ``{{.Param.NAME}}`` or ``$PARAM_NAME``."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gaovm.project import fields, nodes
from gaovm.project.problems import Findings

_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9_]*\Z")
_SHOWN = "^[a-zA-Z][a-zA-Z0-9_]*$"
_USES = re.compile(r"\.Param\.([A-Za-z0-9_.]+)|\bPARAM_([A-Za-z0-9_.]+)")
#: Lima's own boot scripts use these.
_INTERNAL = "internal_"
_SCRIPTED = ("script", "content", "expression", "owner", "path", "permissions")
#: Where a param counts as used: list -> fields of its entries.
_PLACES = {
    "provision": _SCRIPTED,
    "probes": ("script",),
    "copyToHost": ("guest", "host"),
    "portForwards": ("guestSocket", "hostSocket"),
    "mounts": ("location", "mountPoint"),
}


def read(root: nodes.Table) -> dict[str, str]:
    """Return the params with usable names."""
    table = fields.table(root, "param")
    return {
        key: node.text
        for key, node in table.entries.items()
        if isinstance(node, nodes.Scalar) and not node.is_null and _NAME.match(key)
    }


def check_use(root: nodes.Table, found: Findings) -> None:
    """Refuse a param that nothing uses: it is misspelt, or what used it is gone."""
    table = fields.table(root, "param")
    if not table.entries:
        return
    used = _used(root)
    for key, node in table.entries.items():
        if key.startswith(_INTERNAL):
            continue
        if not any(word == key or word.startswith(f"{key}.") for word in used):
            where = "is not used in any provision, probe, copyToHost, or portForward"
            found.problem(
                node,
                where,
                remedy=f"write {{{{.Param.{key}}}}} or $PARAM_{key} in a script, or take it out",
                lima=f"field `param` key `{key}` {where}",
            )


def check_values(root: nodes.Table, found: Findings) -> None:
    """Check names and values."""
    for key, node in fields.table(root, "param").entries.items():
        if not _NAME.match(key):
            what = f"name does not match regex `{_SHOWN}`"
            remedy = "use letters, digits and underscores, a letter first"
            found.problem(node, what, remedy=remedy, lima=f"param `{key}` {what}")
        elif isinstance(node, nodes.Scalar):
            bad = next((c for c in node.text if not c.isprintable() and c != "\t"), None)
            if bad is not None:
                what = f"value contains unprintable character {bad!a}"
                remedy = "keep the value on one line, in printable characters"
                found.problem(node, what, remedy=remedy, lima=f"param `{key}` {what}")


def _used(root: nodes.Table) -> set[str]:
    return {match[1] or match[2] for text in _texts(root) for match in _USES.finditer(text)}


def _texts(root: nodes.Table) -> Iterator[str]:
    for key, names in _PLACES.items():
        for entry in fields.tables(root, key):
            for name in names:
                text = fields.text(entry, name)
                if text:
                    yield text
