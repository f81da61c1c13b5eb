"""Which rule of ``portForwards`` decides for a server in the guest: the first that matches.

Lima looks at each server as it begins to listen. Here a forward is there before its server, so a
forward counts only if no rule before it decides for any server that it could reach.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

ANY = "0.0.0.0"
LOOPBACK = "127.0.0.1"
#: Reaches servers that listen on every address, and none that listens on the loopback only.
ANY_ONLY = "127.0.0.2"


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule as Lima matches it: TCP ports ``first`` to ``last`` of servers on ``guest_ip``.

    ``must_be_zero``: an unspecified ``guest_ip`` stands for servers that listen on every address;
    without it, for all servers.
    """

    first: int
    last: int
    guest_ip: str = LOOPBACK
    must_be_zero: bool = False
    ignore: bool = False
    path: str = ""

    def matches(self, address: str, port: int) -> bool:
        """Whether the rule decides for a server that listens on an address and a port."""
        if not self.first <= port <= self.last:
            return False
        of_all = _is_any(self.guest_ip)
        if _is_any(address):
            # an ignored address says nothing of a server that can be reached by others as well
            return of_all or not self.ignore
        loopback = address == "::1" and self.guest_ip == LOOPBACK
        return address == self.guest_ip or loopback or (of_all and not self.must_be_zero)

    @property
    def dialled(self) -> str:
        """The guest's address to which a forward of this rule connects."""
        if not _is_any(self.guest_ip):
            return self.guest_ip
        if self.must_be_zero:
            return ANY_ONLY
        return LOOPBACK if self.guest_ip == ANY else "::1"

    def overruled_by(self, earlier: Rule) -> bool:
        """Whether an earlier rule decides for a server that a forward of this one would reach."""
        reached = [ANY] if self.dialled == ANY_ONLY else [self.dialled, ANY]
        return any(earlier.matches(address, self.first) for address in reached)


def _is_any(address: str) -> bool:
    return ipaddress.ip_address(address).is_unspecified
