"""``portForwards`` -> ``spec.network.ports``. The first rule that matches decides.

Lima checks each server when it begins to listen. In GaoVM a forward exists before its server. So a
forward counts only if no earlier rule decides for any server that the forward could reach.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from gaovm.project import fields, nodes
from gaovm.project.check import NOT_HONOURED
from gaovm.project.context import Context
from gaovm.spec.ports import PortForward

# a forward with one of these asks for something that GaoVM does not support yet: leave it out
_SKIPPED = ("guestPortRange", "guestSocket", "hostPortRange", "hostSocket", "reverse")
_MAX_FORWARDS = 256
_MAX_PORT = 65535
ANY = "0.0.0.0"
LOOPBACK = "127.0.0.1"
#: Reaches servers that listen on every address, but not those that listen only on the loopback.
ANY_ONLY = "127.0.0.2"


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule with Lima's matching: TCP ports ``first`` to ``last`` of servers on ``guest_ip``.

    With ``must_be_zero``, an unspecified ``guest_ip`` matches only servers that listen on every
    address; without it, all servers.
    """

    first: int
    last: int
    guest_ip: str = LOOPBACK
    must_be_zero: bool = False
    ignore: bool = False
    path: str = ""

    def matches(self, address: str, port: int) -> bool:
        """Return whether the rule decides for a server that listens on an address and a port."""
        if not self.first <= port <= self.last:
            return False
        of_all = _is_any(self.guest_ip)
        if _is_any(address):
            # ignoring one address does not exclude a server that has other addresses as well
            return of_all or not self.ignore
        loopback = address == "::1" and self.guest_ip == LOOPBACK
        return address == self.guest_ip or loopback or (of_all and not self.must_be_zero)

    @property
    def dialled(self) -> str:
        """Return the guest address to which a forward of this rule connects."""
        if not _is_any(self.guest_ip):
            return self.guest_ip
        if self.must_be_zero:
            return ANY_ONLY
        return LOOPBACK if self.guest_ip == ANY else "::1"

    def overruled_by(self, earlier: Rule) -> bool:
        """Return whether an earlier rule decides for a server that this rule's forward reaches."""
        reached = [ANY] if self.dialled == ANY_ONLY else [self.dialled, ANY]
        return any(earlier.matches(address, self.first) for address in reached)


def _is_any(address: str) -> bool:
    return ipaddress.ip_address(address).is_unspecified


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
        context.found.problem(root, f"more than {_MAX_FORWARDS} rules", path="portForwards")
    return tuple(forwards)


def _rule(entry: nodes.Table, context: Context) -> Rule | None:
    """Read what a rule matches, even if it is not honoured; None when it matches no TCP port."""
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
    """Return a rule's guest ports: all ports when it names none, None when they are invalid."""
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
    """Return the forward of a rule; None when the rule has none or is not honoured."""
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
                message += f" ({where} and {forward.host_ip}:{forward.host_port} are one socket)"
            context.found.problem(entry, message, path=fields.below(entry, "hostPort"))
            return


def _address(entry: nodes.Table, key: str, default: str, context: Context) -> str:
    node = fields.scalar(entry, key)
    if node is None or node.text == "":
        return default
    try:
        return str(ipaddress.ip_address(node.text))
    except ValueError:
        context.found.problem(node, f"expected an IP address, found {nodes.describe(node)}")
        return default
