"""``portForwards`` and ``vmOpts.gaovm.hostAccess`` -> ``spec.network``."""

from __future__ import annotations

from gaovm.project import fields, nodes
from gaovm.project.context import Context
from gaovm.project.sections import ports
from gaovm.spec.guest import User
from gaovm.spec.network import Network
from gaovm.spec.portrules import MAX_PORT

_MAX_HOST_PORTS = 64


def read(root: nodes.Table, context: Context, user: User | None = None) -> Network:
    """Read the network, with the forwarded ports. ``user``: the guest's, for paths in the guest."""
    found = ports.read(root, user, context)
    every, single = _host_access(root, context)
    return Network(
        host_access=every,
        host_ports=single,
        ports=tuple(found.forwards),
        rules=found.standing(plain=fields.boolean(root, "plain") is True),
        sockets=tuple(found.sockets),
    )


def _host_access(root: nodes.Table, context: Context) -> tuple[bool, tuple[int, ...]]:
    """Read ``true``, ``false`` or a list of the host's ports."""
    node = fields.get(fields.table(fields.table(root, "vmOpts"), "gaovm"), "hostAccess")
    if node is None:
        return False, ()
    if isinstance(node, nodes.Sequence):
        return False, _single(node, context)
    wanted = node.boolean if isinstance(node, nodes.Scalar) else None
    if wanted is None:
        what = f"expected true, false or a list of ports, found {nodes.describe(node)}"
        remedy = "write true or false, without quotes, or ports of the host: [5432]"
        context.found.problem(node, what, remedy=remedy)
    return wanted is True, ()


def _single(node: nodes.Sequence, context: Context) -> tuple[int, ...]:
    found: dict[int, None] = {}
    for item in node.items:
        number = item.integer if isinstance(item, nodes.Scalar) else None
        if number is None or not 1 <= number <= MAX_PORT:
            what = f"expected a port from 1 to {MAX_PORT}, found {nodes.describe(item)}"
            context.found.problem(item, what, remedy="write ports of the host: [5432]")
        else:
            found[number] = None
    if len(found) > _MAX_HOST_PORTS:
        what = f"more than {_MAX_HOST_PORTS} ports"
        context.found.problem(node, what, remedy="write true for all ports of the host's loopback")
    return tuple(found)
