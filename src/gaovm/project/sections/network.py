"""``portForwards`` and ``vmOpts.gaovm.hostAccess`` -> ``spec.network``."""

from __future__ import annotations

from gaovm.project import fields, nodes
from gaovm.project.context import Context
from gaovm.project.sections import ports
from gaovm.spec.network import Network

_MAX_PORT = 65535


def read(root: nodes.Table, context: Context) -> Network:
    """Read the network, with the forwarded ports."""
    forwarded = ports.read(root, context)
    return Network(host_access=_host_access(root, context), ports=forwarded)


def _host_access(root: nodes.Table, context: Context) -> bool:
    """Read ``true`` or ``false``. Refuse a list of ports: GaoVM does not support it yet."""
    node = fields.get(fields.table(fields.table(root, "vmOpts"), "gaovm"), "hostAccess")
    if node is None:
        return False
    if isinstance(node, nodes.Sequence):
        for item in node.items:
            number = item.integer if isinstance(item, nodes.Scalar) else None
            if number is None or not 1 <= number <= _MAX_PORT:
                found = nodes.describe(item)
                what = f"expected a port from 1 to {_MAX_PORT}, found {found}"
                context.found.problem(item, what, remedy="write hostAccess: true or false")
        message = "single ports cannot be opened yet; use `true` for all host ports, or `false`"
        context.found.problem(node, message, remedy="write hostAccess: true or false")
        return False
    wanted = node.boolean if isinstance(node, nodes.Scalar) else None
    if wanted is None:
        what = f"expected true or false, found {nodes.describe(node)}"
        context.found.problem(node, what, remedy="write true or false, without quotes")
    return wanted is True
