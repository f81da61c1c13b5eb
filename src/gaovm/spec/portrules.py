"""Port rules: which listener of a guest is forwarded, and to where. The first match decides.

The matching is Lima's (its ``pkg/hostagent/port.go``, held to its own vectors). This is the one
place that decides: the daemon reads rules from a file, and the driver asks here which forwards the
guest's listeners have now.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import msgspec

from gaovm.spec.ports import HostPort, Port, Proto

ANY = "0.0.0.0"
LOOPBACK = "127.0.0.1"
#: Reaches servers that listen on every address, but not those that listen only on the loopback.
ANY_ONLY = "127.0.0.2"
MAX_PORT = 65535
#: A VM has at most this many forwards that follow listeners; a guest can listen on every port.
MAX_FOLLOWED = 256
_SSH = 22
#: Ports of services that every distribution has, and nobody asks for: mDNS and LLMNR.
_SYSTEM = (5353, 5355)
_UNPRIVILEGED = 1024
#: Linux takes ports from here on for sockets that only send, and UDP does not tell them apart.
_EPHEMERAL = 32768


class Rule(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A rule with its defaults filled in. It matches ports ``first`` to ``last``.

    With ``must_be_zero``, an unspecified ``guest_ip`` matches only servers that listen on every
    address; without it, all servers. ``host_first`` is the host port of ``first``; None: the same,
    0: any free one. A rule of a ``guest_socket`` matches no port. ``static``: a forward that exists
    without a listener serves what the rule matches. ``field``: the rule's place in the config.
    """

    first: Port
    last: Port
    guest_ip: str = LOOPBACK
    must_be_zero: bool = False
    ignore: bool = False
    field: str = ""
    proto: Literal["tcp", "udp", "any"] = "any"
    host_ip: str = LOOPBACK
    host_first: HostPort | None = None
    host_socket: str = ""
    guest_socket: str = ""
    static: bool = False

    def matches(self, address: str, port: int, proto: str = "tcp") -> bool:
        """Return whether the rule decides for a server that listens on an address and a port."""
        if not self.first <= port <= self.last or self.proto not in ("any", proto):
            return False
        if self.guest_socket:
            return False
        of_all = is_any(self.guest_ip)
        if is_any(address):
            # ignoring one address does not exclude a server that has other addresses as well
            return of_all or not self.ignore
        loopback = address == "::1" and self.guest_ip == LOOPBACK
        return address == self.guest_ip or loopback or (of_all and not self.must_be_zero)

    def target(self, port: int) -> Target:
        """Return where the rule forwards a port to."""
        if self.host_socket:
            return Target(socket=self.host_socket)
        first = self.first if self.host_first is None else self.host_first
        return Target(ip=self.host_ip, port=first + port - self.first if first else 0)

    @property
    def one_port(self) -> bool:
        """Whether the rule is about one port, which a list can show before somebody listens."""
        return self.first == self.last and not (self.ignore or self.static or self.guest_socket)

    @property
    def everything(self) -> bool:
        """Whether the rule is about all ports."""
        return (self.first, self.last) == (1, MAX_PORT) and not self.guest_socket


class Target(NamedTuple):
    """Where a forward listens on the host: an address and a port, or a socket."""

    ip: str = ""
    port: int = 0
    socket: str = ""


class Listening(NamedTuple):
    """A socket of the guest that waits for peers."""

    proto: Proto
    address: str
    port: int


class Followed(NamedTuple):
    """A forward that the guest has now, because of a listener: what to bind, and what to dial."""

    proto: Proto
    guest_port: int
    target: Target
    dial: str
    rule: Rule


def is_any(address: str) -> bool:
    """Return whether an address is ``0.0.0.0`` or ``::``."""
    return ipaddress.ip_address(address).is_unspecified


def complete(rules: Iterable[Rule], ssh_port: int = 0) -> tuple[Rule, ...]:
    """Return a user's rules with those that Lima adds. ``ssh_port`` 0: none is forwarded."""
    ssh = [Rule(port, port, ANY, ignore=True) for port in (_SSH, ssh_port) if port]
    return (*ssh, *rules, Rule(1, MAX_PORT))


def standing(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """Return a user's rules with those of every VM of ours (decision 40).

    As Lima's, the last one forwards the guest's loopback. But it opens no port that needs a right
    on the host, none of a system's own services, and none of a UDP socket that only sends. After a
    last rule that ignores all ports there is no such rule, whatever address that one names.
    """
    given = tuple(rules)
    system = [Rule(port, port, ANY, ignore=True) for port in _SYSTEM]
    last: tuple[Rule, ...] = (
        Rule(_UNPRIVILEGED, MAX_PORT, proto="tcp"),
        Rule(_UNPRIVILEGED, _EPHEMERAL - 1, proto="udp"),
    )
    end = given[-1] if given else None
    if end is not None and end.ignore and end.everything:
        last = tuple(rule for rule in last if end.proto not in ("any", rule.proto))
    return (Rule(_SSH, _SSH, ANY, ignore=True), *given, *system, *last)


def decide(
    rules: Sequence[Rule], address: str, port: int, proto: str = "tcp"
) -> tuple[Rule, Target] | None:
    """Return the rule that forwards a listener, and its target; None: it is not forwarded."""
    for rule in rules:
        if rule.matches(address, port, proto):
            return None if rule.ignore else (rule, rule.target(port))
    return None


def follow(rules: Sequence[Rule], listeners: Iterable[Listening]) -> list[Followed]:
    """Return the forwards for these listeners, each target once, in the order of the ports.

    Servers on several addresses of one port share a forward; it dials the nearest of them.
    """
    found: dict[tuple[Proto, int, Target], tuple[int, Followed]] = {}
    every = sorted(set(listeners), key=lambda each: (each.port, each.proto, each.address))
    for proto, address, port in every:
        decided = decide(rules, address, port, proto)
        if decided is None or decided[0].static:
            continue
        rule, target = decided
        if target.port > MAX_PORT:
            continue
        if proto == "udp" and (target.socket or _shadowed(rule, every, port)):
            continue  # a stream socket carries no datagrams
        rank = _rank(address)
        known = found.get((proto, port, target))
        if known is None or rank < known[0]:
            each = Followed(proto, port, target, _dialled(rule, address, proto), rule)
            found[proto, port, target] = (rank, each)
    return [each for _, each in found.values()]


def watched(rules: Sequence[Rule]) -> dict[Proto, list[tuple[int, int]]]:
    """Return, by protocol, the ports of which some listener could be forwarded; empty: none."""
    found: dict[Proto, list[tuple[int, int]]] = {"tcp": [], "udp": []}
    for proto, ranges in found.items():
        for rule in rules:
            if rule.proto not in ("any", proto) or rule.guest_socket:
                continue
            if rule.ignore and rule.everything and is_any(rule.guest_ip) and not rule.must_be_zero:
                break  # no later rule can match
            if not (rule.ignore or rule.static):
                ranges.append((rule.first, rule.last))
        ranges[:] = _merged(ranges)
    return {proto: ranges for proto, ranges in found.items() if ranges}


def _merged(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return merged


def _rank(address: str) -> int:
    """Prefer loopback to every address, and IPv4 to IPv6: the host's clients come by loopback."""
    order = (LOOPBACK, ANY, "::1", "::")
    return order.index(address) if address in order else len(order)


def _shadowed(rule: Rule, listeners: Iterable[Listening], port: int) -> bool:
    """Return whether a rule for servers on every address would reach another one instead.

    A UDP server on every address answers from 127.0.0.1, so only that address can be dialled. There
    a server on the loopback alone takes the datagrams.
    """
    return rule.must_be_zero and Listening("udp", LOOPBACK, port) in listeners


def _dialled(rule: Rule, address: str, proto: Proto) -> str:
    """Return the guest address to which the forward of a listener connects."""
    if not is_any(address):
        return address
    return ANY_ONLY if rule.must_be_zero and proto == "tcp" else LOOPBACK
