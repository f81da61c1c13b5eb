"""Write a config's tree as YAML again: values as the file had them, without comments."""

from __future__ import annotations

import yaml

from gaovm.project.nodes import Node, Scalar, Sequence, Table

_TAG = "tag:yaml.org,2002:"
_WIDTH = 1 << 16


def emit(root: Table) -> str:
    """Return a text that ``nodes.parse`` reads as the same tree."""
    if not root.entries:
        return "{}\n"
    text: str = yaml.serialize(
        _node(root), Dumper=yaml.CSafeDumper, allow_unicode=True, width=_WIDTH
    )
    return text


def _node(node: Node) -> yaml.Node:
    if isinstance(node, Scalar):
        return _scalar(node)
    if isinstance(node, Sequence):
        items = [_node(item) for item in node.items]
        return yaml.SequenceNode(f"{_TAG}seq", items, flow_style=not items)
    pairs = [
        (_scalar(Scalar(node.line, "", key, True)), _node(entry))
        for key, entry in node.entries.items()
    ]
    return yaml.MappingNode(f"{_TAG}map", pairs, flow_style=not pairs)


def _scalar(node: Scalar) -> yaml.ScalarNode:
    if not node.plain:
        style = "|" if "\n" in node.text else '"'
        return yaml.ScalarNode(f"{_TAG}str", node.text, style=style)
    text = node.text or "null"
    # The tag that a plain text has anyhow, so that it stays plain.
    tag: str = _RESOLVER.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
    return yaml.ScalarNode(tag, text)


_RESOLVER = yaml.resolver.Resolver()
