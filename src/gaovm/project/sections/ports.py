"""``portForwards`` -> ``spec.network.ports``. The first rule that matches decides.

Lima checks each server when it begins to listen. In GaoVM a forward exists before its server. So a
forward counts only if no earlier rule decides for any server that the forward could reach.
"""

from __future__ import annotations

import ipaddress

from gaovm.project import fields, nodes
from gaovm.project.check import NOT_HONOURED
from gaovm.project.context import Context
from gaovm.project.lima import portrules
from gaovm.project.lima.portrules import ANY, LOOPBACK, MAX_PORT, Rule, is_any
from gaovm.spec.ports import PortForward

# a forward with one of these asks for something that GaoVM does not support yet: leave it out
_SKIPPED = ("guestPortRange", "guestSocket", "hostPortRange", "hostSocket", "reverse")
_MAX_FORWARDS = 256
#: Reaches servers that listen on every address, but not those that listen only on the loopback.
ANY_ONLY = "127.0.0.2"


def _dialled(rule: Rule) -> str:
    """Return the guest address to which a forward of this rule connects."""
    if not is_any(rule.guest_ip):
        return rule.guest_ip
    if rule.must_be_zero:
        return ANY_ONLY
    return LOOPBACK if rule.guest_ip == ANY else "::1"


def _overrules(earlier: Rule, rule: Rule) -> bool:
    """Return whether an earlier rule decides for a server that this rule's forward reaches."""
    dialled = _dialled(rule)
    reached = [ANY] if dialled == ANY_ONLY else [dialled, ANY]
    return any(earlier.matches(address, rule.first) for address in reached)


def read(root: nodes.Table, context: Context) -> tuple[PortForward, ...]:
    """Read the forwarded ports. ``hostPort`` defaults to ``guestPort``; 0 means any free one."""
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
        what = f"more than {_MAX_FORWARDS} rules"
        remedy = "take rules out; a port can also be forwarded later, when you need it"
        context.found.problem(root, what, path="portForwards", remedy=remedy)
    return tuple(forwards)


def _rule(entry: nodes.Table, context: Context) -> Rule | None:
    """Read what a rule matches, even if it is not honoured; None when it matches no TCP port."""
    _address(entry, "guestIP", LOOPBACK, context)
    rule = portrules.rule(entry)
    if rule is None or rule.proto == "udp" or rule.guest_socket or fields.boolean(entry, "reverse"):
        return None
    return rule


def _forward(entry: nodes.Table, rule: Rule | None, context: Context) -> PortForward | None:
    """Return the forward of a rule; None when the rule has none or is not honoured."""
    found = context.found
    host_port = fields.bounded(entry, "hostPort", (0, MAX_PORT), found)
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
    single = fields.scalar(entry, "guestPort")
    if (single is None or single.integer == 0) and not host_port:
        found.warning(entry, "a rule for all ports is not honoured yet; this rule is left out")
        return None
    if single is None or single.integer == 0:
        where = fields.below(entry, "guestPort")
        remedy = "write the port on which the server in the VM listens"
        found.problem(entry, "must be set", path=where, remedy=remedy)
        return None
    if rule is None:
        return None
    return PortForward(
        guest_port=rule.first,
        host_port=rule.first if host_port is None else host_port,
        guest_ip=_dialled(rule),
        host_ip=host_ip,
        field=entry.path,
    )


def _overruled(entry: nodes.Table, rule: Rule, earlier: list[Rule], context: Context) -> bool:
    for other in earlier:
        if _overrules(other, rule):
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
                message += f" ({where} and {forward.host_ip}:{forward.host_port} are one socket)"
            where, remedy = fields.below(entry, "hostPort"), "write hostPort: 0, or another port"
            context.found.problem(entry, message, path=where, remedy=remedy)
            return


def _address(entry: nodes.Table, key: str, default: str, context: Context) -> str:
    node = fields.scalar(entry, key)
    if node is None or node.text == "":
        return default
    try:
        return str(ipaddress.ip_address(node.text))
    except ValueError:
        what = f"expected an IP address, found {nodes.describe(node)}"
        context.found.problem(node, what, remedy=f"take {key} out: {default} is meant then")
        return default
