"""``portForwards`` and ``vmOpts.gaovm.hostAccess`` -> ``spec.network``."""

from __future__ import annotations

import ipaddress

from gaovm.project import fields, nodes
from gaovm.project.check import NOT_HONOURED
from gaovm.project.context import Context
from gaovm.spec.network import Network, PortForward

# rules with one of these mean something that is not done yet, so the whole rule is left out
_SKIPPED = ("guestPortRange", "guestSocket", "hostPortRange", "hostSocket", "reverse", "ignore")
_MAX_FORWARDS = 256
_MAX_PORT = 65535


def read(root: nodes.Table, context: Context) -> Network:
    """Forwarded ports. ``hostPort`` is ``guestPort`` when not set, and 0 means any free one."""
    forwards: list[PortForward] = []
    taken: dict[tuple[str, int], str] = {}
    for entry in fields.tables(root, "portForwards"):
        forward = _forward(entry, context)
        if forward is None:
            continue
        key = (forward.host_ip, forward.host_port)
        first = taken.get(key)
        if forward.host_port and first is not None:
            message = f"host port {forward.host_port} is forwarded twice, first by {first}"
            context.found.problem(entry, message, path=fields.below(entry, "hostPort"))
            continue
        taken[key] = entry.path
        forwards.append(forward)
    if len(forwards) > _MAX_FORWARDS:
        context.found.problem(root, f"more than {_MAX_FORWARDS} rules", path="portForwards")
    return Network(host_access=_host_access(root, context), forwards=tuple(forwards))


def _host_access(root: nodes.Table, context: Context) -> bool:
    """``true`` or ``false``; a list of ports is understood, and refused until it can be kept."""
    node = fields.get(fields.table(fields.table(root, "vmOpts"), "gaovm"), "hostAccess")
    if node is None:
        return False
    if isinstance(node, nodes.Sequence):
        for item in node.items:
            number = item.integer if isinstance(item, nodes.Scalar) else None
            if number is None or not 1 <= number <= _MAX_PORT:
                found = nodes.describe(item)
                context.found.problem(item, f"expected a port from 1 to {_MAX_PORT}, found {found}")
        message = "single ports cannot be opened yet; use `true` for all of the host's, or `false`"
        context.found.problem(node, message)
        return False
    wanted = node.boolean if isinstance(node, nodes.Scalar) else None
    if wanted is None:
        context.found.problem(node, f"expected true or false, found {nodes.describe(node)}")
    return wanted is True


def _forward(entry: nodes.Table, context: Context) -> PortForward | None:
    found = context.found
    skipped = False
    for key in _SKIPPED:
        node = fields.get(entry, key)
        if node is not None and fields.boolean(entry, key) is not False:
            found.warning(node, "not honoured yet; this rule is left out")
            skipped = True
    proto = fields.word(entry, "proto", ("tcp", "udp", "any"), found)
    if proto == "udp":
        found.warning(entry.entries["proto"], "udp is not honoured yet; this rule is left out")
        skipped = True
    elif proto == "any":
        found.warning(entry.entries["proto"], "only TCP is forwarded; udp is " + NOT_HONOURED)
    guest_port = fields.bounded(entry, "guestPort", (1, 65535), found)
    host_port = fields.bounded(entry, "hostPort", (0, 65535), found)
    guest_ip = _address(entry, "guestIP", context)
    host_ip = _address(entry, "hostIP", context)
    if skipped:
        return None
    if fields.get(entry, "guestPort") is None:
        found.problem(entry, "must be set", path=fields.below(entry, "guestPort"))
    if guest_port is None:
        return None
    return PortForward(
        guest_port=guest_port,
        host_port=guest_port if host_port is None else host_port,
        guest_ip=_LOOPBACK.get(guest_ip, guest_ip),
        host_ip=host_ip,
        field=entry.path,
    )


# "every address" is what a server binds; a connection needs one of them
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def _address(entry: nodes.Table, key: str, context: Context) -> str:
    node = fields.scalar(entry, key)
    if node is None or node.text == "":
        return "127.0.0.1"
    try:
        return str(ipaddress.ip_address(node.text))
    except ValueError:
        context.found.problem(node, f"expected an IP address, found {nodes.describe(node)}")
        return "127.0.0.1"
