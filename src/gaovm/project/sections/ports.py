"""``portForwards`` -> the rules, forwards and sockets of ``spec.network``.

A rule follows the guest's listeners (``spec.portrules``); the first rule that matches decides. A
rule with ``static: true`` exists before its server. So it counts only if no earlier rule decides
for any server that it could reach.
"""

from __future__ import annotations

import ipaddress
import posixpath

from gaovm.project import fields, nodes
from gaovm.project.context import Context
from gaovm.project.lima import portrules
from gaovm.spec.guest import User
from gaovm.spec.portrules import ANY, ANY_ONLY, LOOPBACK, MAX_PORT, Rule, is_any, standing
from gaovm.spec.ports import PortForward, SocketForward

_MAX_RULES = 256
_MAX_PATH = 107


class Ports:
    """What the entries of a file ask for, as far as they are read."""

    def __init__(self) -> None:
        self.rules: list[Rule] = []
        self.forwards: list[PortForward] = []
        self.sockets: list[SocketForward] = []

    def standing(self, *, plain: bool) -> tuple[Rule, ...]:
        """Return the rules with those that every VM has; a plain VM follows no listener."""
        return () if plain else standing(self.rules)


def read(root: nodes.Table, user: User | None, context: Context) -> Ports:
    """Read the forwarded ports. ``hostPort`` defaults to ``guestPort``; 0 means any free one."""
    read = Ports()
    for entry in fields.tables(root, "portForwards"):
        if fields.text(entry, "guestSocket"):
            _read_socket(entry, read, user, context)
            continue
        rule = _rule(entry, context)
        if rule is None:
            continue
        if rule.static and not rule.ignore:
            _read_static(entry, rule, read, context)
        elif not rule.ignore:
            _check_host_port(entry, rule, read, context)
        read.rules.append(rule)
    count = max(len(read.rules) + len(read.sockets), len(read.forwards))
    if count > _MAX_RULES:
        what = f"more than {_MAX_RULES} rules"
        remedy = "take rules out, or write one with a range"
        context.found.problem(root, what, path="portForwards", remedy=remedy)
    return read


def _rule(entry: nodes.Table, context: Context) -> Rule | None:
    """Read a rule of ports; None when a value is wrong, which is then a problem."""
    for key in ("guestIP", "hostIP"):
        _address(entry, key, context)
    fields.bounded(entry, "hostPort", (0, MAX_PORT), context.found)
    rule = portrules.rule(entry)
    if rule is None or rule.ignore:
        return rule
    socket = _host_socket(entry, context)
    if not _fits(entry, rule, context):
        return None
    if socket is None:
        return rule
    return portrules.with_socket(rule, socket)


def _fits(entry: nodes.Table, rule: Rule, context: Context) -> bool:
    """Check that each guest port has a host port of its own."""
    given = fields.scalar(entry, "hostPort")
    if rule.first == rule.last or rule.host_socket or given is None or given.integer == 0:
        return True
    if fields.get(entry, "guestPortRange") is None:
        where = fields.below(entry, "guestPort")
        remedy = "write the port on which the server in the VM listens"
        context.found.problem(entry, "must be set", path=where, remedy=remedy)
        return False
    return True


def _read_static(entry: nodes.Table, rule: Rule, read: Ports, context: Context) -> None:
    """Read a rule whose forwards exist while the VM runs: one for each port and protocol."""
    if rule.host_socket:
        what = "a static forward of a port to a socket is not to be had"
        remedy = "take static out, or forward a guestSocket"
        context.found.problem(entry, what, path=fields.below(entry, "static"), remedy=remedy)
        return
    if rule.last - rule.first >= _MAX_RULES:
        what = f"a static rule for more than {_MAX_RULES} ports"
        remedy = "give a guestPort or a shorter guestPortRange, or take static out"
        context.found.problem(entry, what, path=fields.below(entry, "static"), remedy=remedy)
        return
    for proto in ("tcp", "udp"):
        if rule.proto not in ("any", proto) or _overruled(entry, rule, proto, read, context):
            continue
        if proto == "udp" and rule.must_be_zero:
            what = "a static rule for udp reaches servers on loopback too; udp is left out"
            context.found.warning(entry, what)
            continue
        for port in range(rule.first, rule.last + 1):
            target = rule.target(port)
            forward = PortForward(
                guest_port=port,
                host_port=target.port,
                guest_ip=_dialled(rule, proto),
                host_ip=target.ip,
                proto="udp" if proto == "udp" else "tcp",
                field=entry.path,
            )
            if not _clashes(entry, forward, read, context):
                read.forwards.append(forward)


def _dialled(rule: Rule, proto: str) -> str:
    """Return the guest address to which a static forward of this rule connects."""
    if not is_any(rule.guest_ip):
        return rule.guest_ip
    if rule.must_be_zero and proto == "tcp":
        return ANY_ONLY
    return LOOPBACK if rule.guest_ip == ANY else "::1"


def _overruled(entry: nodes.Table, rule: Rule, proto: str, read: Ports, context: Context) -> bool:
    """Return whether an earlier rule decides for a server that this static rule reaches."""
    dialled = _dialled(rule, proto)
    reached = [ANY] if rule.must_be_zero else [dialled, ANY]
    for other in read.rules:
        port = max(rule.first, other.first)
        if port <= rule.last and any(other.matches(ip, port, proto) for ip in reached):
            what = "ignores" if other.ignore else "decides for"
            message = f"{other.field} {what} guest port {rule.first} before; this rule is left out"
            context.found.warning(entry, message)
            return True
    return False


def _check_host_port(entry: nodes.Table, rule: Rule, read: Ports, context: Context) -> None:
    """Refuse a host port that a static forward holds for ever; else the first listener gets it."""
    target = rule.target(rule.first)
    if rule.host_socket or not target.port or rule.first != rule.last:
        return
    forward = PortForward(
        guest_port=rule.first,
        host_port=target.port,
        host_ip=target.ip,
        proto="udp" if rule.proto == "udp" else "tcp",
    )
    taken = [_as_forward(other) for other in read.rules if other.one_port]
    for known in [*read.forwards, *(each for each in taken if each is not None)]:
        if forward.clashes(known) and known.guest_port != forward.guest_port:
            _tell_twice(entry, forward, known, context)
            return


def _as_forward(rule: Rule) -> PortForward | None:
    target = rule.target(rule.first)
    if rule.host_socket or not target.port:
        return None
    return PortForward(
        guest_port=rule.first,
        host_port=target.port,
        host_ip=target.ip,
        proto="udp" if rule.proto == "udp" else "tcp",
        field=rule.field,
    )


def _clashes(entry: nodes.Table, forward: PortForward, read: Ports, context: Context) -> bool:
    for other in read.forwards:
        if forward.clashes(other):
            _tell_twice(entry, forward, other, context)
            return True
    return False


def _tell_twice(
    entry: nodes.Table, forward: PortForward, other: PortForward, context: Context
) -> None:
    where = f"{other.host_ip}:{other.host_port}"
    message = f"host port {forward.host_port} is forwarded twice, first by {other.field}"
    if other.host_ip != forward.host_ip:
        message += f" ({where} and {forward.host_ip}:{forward.host_port} are one socket)"
    where, remedy = fields.below(entry, "hostPort"), "write hostPort: 0, or another port"
    context.found.problem(entry, message, path=where, remedy=remedy)


def _read_socket(entry: nodes.Table, read: Ports, user: User | None, context: Context) -> None:
    """Read a rule whose guest end is a Unix socket."""
    _address(entry, "hostIP", context)
    host_port = fields.bounded(entry, "hostPort", (0, MAX_PORT), context.found)
    inside = fields.scalar(entry, "guestSocket")
    if inside is None or fields.boolean(entry, "ignore"):
        return
    variables = context.host_variables() if user is None else context.guest_variables(user)
    guest_socket = _checked(inside, context.expand(inside, variables), context)
    host_socket = _host_socket(entry, context)
    if guest_socket is None:
        return
    if host_socket is None and host_port is None:
        where = fields.below(entry, "hostSocket")
        remedy = "write a path, or a name for one below sock in the VM's directory"
        context.found.problem(entry, "must be set", path=where, remedy=remedy)
        return
    forward = SocketForward(
        guest_socket=guest_socket,
        host_socket=host_socket or "",
        host_ip=fields.text(entry, "hostIP") or LOOPBACK,
        host_port=host_port or 0,
        reverse=fields.boolean(entry, "reverse") is True,
        static=fields.boolean(entry, "static") is True,
        field=entry.path,
    )
    if host_socket and any(host_socket == known.host_socket for known in read.sockets):
        what = f"host socket {host_socket} is forwarded twice"
        remedy = "give each forward a socket of its own"
        context.found.problem(entry, what, path=fields.below(entry, "hostSocket"), remedy=remedy)
        return
    read.sockets.append(forward)


def _host_socket(entry: nodes.Table, context: Context) -> str | None:
    """Return the clean path of ``hostSocket``; a relative one stays relative. None: none."""
    node = fields.scalar(entry, "hostSocket")
    if node is None or not node.text:
        return None
    text = context.expand(node, context.host_variables())
    if text == "~" or text.startswith("~/"):
        text = context.caller.home + text[1:]
    own = f"{context.host.vm_dir}/sock/"
    if context.host.vm_dir and text.startswith(own):
        text = text[len(own) :]  # written as {{.Dir}}/sock/NAME
    return _checked(node, text, context)


def _checked(node: nodes.Scalar, text: str, context: Context) -> str | None:
    """Return a socket's clean path. A relative one must not lead out of its directory."""
    clean = posixpath.normpath(text)
    what = ""
    if any(ord(char) < 32 for char in text):
        what = "a path holds a control character"
    elif len(clean.encode("utf-8", "surrogateescape")) > _MAX_PATH:
        what = f"a socket's path is longer than {_MAX_PATH} bytes"
    elif clean in (".", "/") or clean == ".." or clean.startswith("../"):
        what = f"expected the path of a socket, found {nodes.describe(node)}"
    if what:
        context.found.problem(node, what, remedy="give another path")
        return None
    return "/" + clean.lstrip("/") if clean.startswith("/") else clean


def _address(entry: nodes.Table, key: str, context: Context) -> None:
    node = fields.scalar(entry, key)
    if node is None or node.text == "":
        return
    try:
        ipaddress.ip_address(node.text)
    except ValueError:
        what = f"expected an IP address, found {nodes.describe(node)}"
        context.found.problem(node, what, remedy=f"take {key} out: {LOOPBACK} is meant then")
