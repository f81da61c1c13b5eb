"""Lima's port rules: which listener of a guest is forwarded, and to where. The first match decides.

A list of rules has two ignore rules before it (the guest's sshd and the forwarded SSH port), and
after it one that forwards every port of the guest's loopback to the same port of the host's.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gaovm.project import fields, nodes

ANY = "0.0.0.0"
LOOPBACK = "127.0.0.1"
MAX_PORT = 65535
_SSH = 22


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule with its defaults filled in. It matches ports ``first`` to ``last``.

    With ``must_be_zero``, an unspecified ``guest_ip`` matches only servers that listen on every
    address; without it, all servers. ``host_first`` is the host port of ``first``; None: the same,
    0: any free one. A rule of a ``guest_socket`` matches no port.
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
    guest_socket: str = ""

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


@dataclass(frozen=True, slots=True)
class Target:
    """Where a forward listens on the host: an address and a port, or a socket."""

    ip: str = ""
    port: int = 0
    socket: str = ""


def is_any(address: str) -> bool:
    """Return whether an address is ``0.0.0.0`` or ``::``."""
    return ipaddress.ip_address(address).is_unspecified


def read(root: nodes.Table) -> tuple[Rule, ...]:
    """Return the rules of a whole config that forward from the guest; wrong ones are left out."""
    entries = fields.tables(root, "portForwards")
    found = [rule(entry) for entry in entries if not fields.boolean(entry, "reverse")]
    return tuple(each for each in found if each is not None)


def rule(entry: nodes.Table) -> Rule | None:
    """Return an entry of ``portForwards`` with Lima's defaults; None: its values are wrong."""
    zero = fields.boolean(entry, "guestIPMustBeZero")
    guest_ip = _address(entry, "guestIP", ANY if zero else LOOPBACK)
    host_ip = _address(entry, "hostIP", LOOPBACK)
    guest, host = _ports(entry, "guest"), _ports(entry, "host")
    if guest_ip is None or host_ip is None or not guest or not host:
        return None
    (first, last), (host_first, _) = guest, host
    return Rule(
        1 if first is None else first,
        MAX_PORT if last is None else last,
        guest_ip,
        must_be_zero=guest_ip == ANY if zero is None else zero,
        ignore=fields.boolean(entry, "ignore") is True,
        path=entry.path,
        proto=fields.text(entry, "proto") or "any",
        host_ip=host_ip,
        host_first=host_first,
        host_socket=fields.text(entry, "hostSocket") or "",
        guest_socket=fields.text(entry, "guestSocket") or "",
    )


def _address(entry: nodes.Table, key: str, default: str) -> str | None:
    text = fields.text(entry, key)
    try:
        return str(ipaddress.ip_address(text)) if text else default
    except ValueError:
        return None


def _ports(entry: nodes.Table, side: str) -> tuple[int | None, int | None] | None:
    """Return the first and the last port of a side; None for both: it names none; None: wrong."""
    single, both = fields.get(entry, f"{side}Port"), fields.get(entry, f"{side}PortRange")
    least = 0 if side == "host" else 1
    if single is not None:
        number = single.integer if isinstance(single, nodes.Scalar) else None
        if number == 0 and side == "guest":
            return None, None
        return (number, number) if number is not None and least <= number <= MAX_PORT else None
    if not isinstance(both, nodes.Sequence):
        return None, None
    numbers = [item.integer for item in both.items if isinstance(item, nodes.Scalar)]
    first, last = numbers if len(numbers) == 2 else (None, None)
    if first is None or last is None or not least <= first <= last <= MAX_PORT:
        return None
    return first, last


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
