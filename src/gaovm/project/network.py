"""``portForwards`` and ``vmOpts.gaovm.hostAccess`` -> ``spec.network``."""

from __future__ import annotations

import ipaddress

from gaovm.project import fields, nodes
from gaovm.project.check import NOT_HONOURED
from gaovm.project.context import Context
from gaovm.project.portrules import ANY, LOOPBACK, Rule
from gaovm.spec.network import Network, PortForward

# a forward with one of these means something that is not done yet, so it is left out
_SKIPPED = ("guestPortRange", "guestSocket", "hostPortRange", "hostSocket", "reverse")
_MAX_FORWARDS = 256
_MAX_PORT = 65535


def read(root: nodes.Table, context: Context) -> Network:
    """Forwarded ports. ``hostPort`` is ``guestPort`` when not set, and 0 means any free one."""
    forwards: list[PortForward] = []
    rules: list[Rule] = []
    for entry in fields.tables(root, "portForwards"):
        rule = _rule(entry, context)
        forward = _forward(entry, rule, context)
        if forward is not None and rule is not None and not _overruled(entry, rule, rules, context):
            _check_host_port(entry, forward, forwards, context)
            forwards.append(forward)
        if rule is not None:
            rules.append(rule)
    if len(forwards) > _MAX_FORWARDS:
        context.found.problem(root, f"more than {_MAX_FORWARDS} rules", path="portForwards")
    return Network(host_access=_host_access(root, context), forwards=tuple(forwards))


def _rule(entry: nodes.Table, context: Context) -> Rule | None:
    """What a rule matches, whether it is honoured or not; None when that is no TCP port."""
    found = context.found
    ports = _ports(entry, context)
    proto = fields.word(entry, "proto", ("tcp", "udp", "any"), found)
    zero = fields.boolean(entry, "guestIPMustBeZero")
    guest_ip = _address(entry, "guestIP", ANY if zero else LOOPBACK, context)
    if zero and guest_ip != ANY:
        message = f"can be true only when guestIP is {ANY}; found {guest_ip}"
        found.problem(entry.entries["guestIPMustBeZero"], message)
    aside = fields.boolean(entry, "reverse") or fields.get(entry, "guestSocket") is not None
    if ports is None or proto == "udp" or aside:
        return None
    return Rule(
        first=ports[0],
        last=ports[1],
        guest_ip=guest_ip,
        must_be_zero=guest_ip == ANY if zero is None else zero,
        ignore=fields.boolean(entry, "ignore") is True,
        path=entry.path,
    )


def _ports(entry: nodes.Table, context: Context) -> tuple[int, int] | None:
    """The guest's ports of a rule, all of them when it names none; None when they are wrong."""
    if fields.get(entry, "guestPort") is not None:
        port = fields.bounded(entry, "guestPort", (1, _MAX_PORT), context.found)
        return None if port is None else (port, port)
    node = fields.get(entry, "guestPortRange")
    if not isinstance(node, nodes.Sequence):
        return 1, _MAX_PORT
    numbers = [item.integer for item in node.items if isinstance(item, nodes.Scalar)]
    first, last = numbers if len(numbers) == 2 else (None, None)
    if first is None or last is None or not 1 <= first <= last <= _MAX_PORT:
        context.found.problem(node, f"expected two ports from 1 to {_MAX_PORT}, in order")
        return None
    return first, last


def _forward(entry: nodes.Table, rule: Rule | None, context: Context) -> PortForward | None:
    """The forward of a rule; None when it is none, or is not honoured."""
    found = context.found
    host_port = fields.bounded(entry, "hostPort", (0, _MAX_PORT), found)
    host_ip = _address(entry, "hostIP", LOOPBACK, context)
    if fields.boolean(entry, "ignore"):
        return None
    skipped = False
    for key in _SKIPPED:
        node = fields.get(entry, key)
        if node is not None and fields.boolean(entry, key) is not False:
            found.warning(node, "not honoured yet; this rule is left out")
            skipped = True
    proto = fields.text(entry, "proto")
    if proto == "udp":
        found.warning(entry.entries["proto"], "udp is not honoured yet; this rule is left out")
        skipped = True
    elif proto == "any":
        found.warning(entry.entries["proto"], "only TCP is forwarded; udp is " + NOT_HONOURED)
    if skipped:
        return None
    if fields.get(entry, "guestPort") is None:
        found.problem(entry, "must be set", path=fields.below(entry, "guestPort"))
        return None
    if rule is None:
        return None
    return PortForward(
        guest_port=rule.first,
        host_port=rule.first if host_port is None else host_port,
        guest_ip=rule.dialled,
        host_ip=host_ip,
        field=entry.path,
    )


def _overruled(entry: nodes.Table, rule: Rule, earlier: list[Rule], context: Context) -> bool:
    for other in earlier:
        if rule.overruled_by(other):
            what = "ignores" if other.ignore else "decides for"
            message = f"{other.path} {what} guest port {rule.first} before; this rule is left out"
            context.found.warning(entry, message)
            return True
    return False


def _check_host_port(
    entry: nodes.Table, forward: PortForward, earlier: list[PortForward], context: Context
) -> None:
    for other in earlier:
        if forward.clashes(other):
            where = f"{other.host_ip}:{other.host_port}"
            message = f"host port {forward.host_port} is forwarded twice, first by {other.field}"
            if other.host_ip != forward.host_ip:
                message += f" ({where} and {forward.host_ip}:{forward.host_port} are one)"
            context.found.problem(entry, message, path=fields.below(entry, "hostPort"))
            return


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


def _address(entry: nodes.Table, key: str, default: str, context: Context) -> str:
    node = fields.scalar(entry, key)
    if node is None or node.text == "":
        return default
    try:
        return str(ipaddress.ip_address(node.text))
    except ValueError:
        context.found.problem(node, f"expected an IP address, found {nodes.describe(node)}")
        return default
