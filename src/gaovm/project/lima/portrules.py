"""Lima's port rules: which listener of a guest is forwarded, and to where. The first match decides.

A list of rules has two ignore rules before it (the guest's sshd and the forwarded SSH port), and
after it one that forwards every port of the guest's loopback to the same port of the host's.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

ANY = "0.0.0.0"
LOOPBACK = "127.0.0.1"
MAX_PORT = 65535
_SSH = 22


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule with its defaults filled in. It matches ports ``first`` to ``last``.

    With ``must_be_zero``, an unspecified ``guest_ip`` matches only servers that listen on every
    address; without it, all servers. ``host_first`` is the host port of ``first``; None: the same.
    """

    first: int
    last: int
    guest_ip: str = LOOPBACK
    must_be_zero: bool = False
    ignore: bool = False
    path: str = ""
    proto: str = "any"
    host_ip: str = LOOPBACK
    host_first: int | None = None
    host_socket: str = ""

    def matches(self, address: str, port: int, proto: str = "tcp") -> bool:
        """Return whether the rule decides for a server that listens on an address and a port."""
        if not self.first <= port <= self.last or self.proto not in ("any", proto):
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
        return Target(ip=self.host_ip, port=first + port - self.first)


@dataclass(frozen=True, slots=True)
class Target:
    """Where a forward listens on the host: an address and a port, or a socket."""

    ip: str = ""
    port: int = 0
    socket: str = ""


def is_any(address: str) -> bool:
    """Return whether an address is ``0.0.0.0`` or ``::``."""
    return ipaddress.ip_address(address).is_unspecified


def complete(rules: Iterable[Rule], ssh_port: int = 0) -> tuple[Rule, ...]:
    """Return the user's rules with the ones that every VM has. ``ssh_port`` 0: none forwarded."""
    ssh = [Rule(port, port, ANY, ignore=True) for port in (_SSH, ssh_port) if port]
    return (*ssh, *rules, Rule(1, MAX_PORT))


def decide(
    rules: Sequence[Rule], address: str, port: int, proto: str = "tcp"
) -> tuple[Rule, Target] | None:
    """Return the rule that forwards a listener, and its target; None: it is not forwarded."""
    for rule in rules:
        if rule.matches(address, port, proto):
            return None if rule.ignore else (rule, rule.target(port))
    return None
