"""``plain: true``: what Lima leaves out of such a VM."""

from __future__ import annotations

from gaovm.project import fields, nodes
from gaovm.project.problems import Findings

_WHY = "plain: true leaves it out"
_SUDO = "passwordlessSudo"


def is_plain(root: nodes.Table) -> bool:
    """Return whether the config asks for a plain VM."""
    return fields.boolean(root, "plain") is True


def strip(root: nodes.Table, found: Findings) -> nodes.Table:
    """Return a plain VM's config without mounts, ports that follow the guest, and the like.

    ``found`` gets a warning for each of them that the file asks for.
    """
    if not is_plain(root):
        return root
    entries = dict(root.entries)
    for key in ("mounts", "containerd", "rosetta"):
        _drop(entries, key, found)
    # the guest's own zone; the host's is no wish of the file
    zone = entries.get("timezone")
    line = root.line if zone is None else zone.line
    _drop(entries, "timezone", found)
    entries["timezone"] = nodes.Scalar(line, "timezone", "", plain=False)
    rules = entries.get("portForwards")
    if isinstance(rules, nodes.Sequence):
        entries["portForwards"] = _static(rules, found)
    lines = {**root.key_lines, "timezone": line}
    return nodes.Table(root.line, root.path, entries, lines, root.origin)


def _drop(entries: dict[str, nodes.Node], key: str, found: Findings) -> None:
    node = entries.pop(key, None)
    asks = (isinstance(node, nodes.Scalar) and not node.is_null and node.text != "") or (
        isinstance(node, nodes.Sequence) and len(node.items) > 0
    )
    if node is not None and asks:
        found.warning(node, _WHY)


def _static(rules: nodes.Sequence, found: Findings) -> nodes.Sequence:
    kept = []
    for item in rules.items:
        if isinstance(item, nodes.Table) and fields.boolean(item, "static") is not True:
            if fields.boolean(item, "ignore") is not True:
                found.warning(item, f"{_WHY}, because it is not `static: true`")
            continue
        kept.append(item)
    return nodes.Sequence(rules.line, rules.path, tuple(kept), rules.origin)


def check_sudo(root: nodes.Table, found: Findings) -> None:
    """Refuse sudo with a password in a VM that is not plain, as Lima does."""
    node = fields.scalar(fields.table(root, "user"), _SUDO)
    if node is not None and node.boolean is False and not is_plain(root):
        what = "must be true unless `plain` is true"
        found.problem(node, what, remedy="add plain: true, or take passwordlessSudo out")
