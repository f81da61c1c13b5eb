"""Ports: TCP ports of the host that lead to ports of the guest, through the agent."""

from __future__ import annotations

import ipaddress
from typing import Annotated

import msgspec

from gaovm.spec.base import Frozen

Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
HostPort = Annotated[int, msgspec.Meta(ge=0, le=65535)]


class PortForward(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A TCP port: connections to ``host_ip:host_port`` reach ``guest_ip:guest_port`` in the guest.

    ``host_port`` 0 means any free port: each start chooses one, and status shows it.
    """

    guest_port: Port
    host_port: HostPort = 0
    guest_ip: str = "127.0.0.1"
    host_ip: str = "127.0.0.1"
    field: str | None = None

    def clashes(self, other: PortForward) -> bool:
        """Return whether both conflict: one host port, and one address covers the other."""
        if self.host_port == 0 or self.host_port != other.host_port:
            return False
        ours, theirs = ipaddress.ip_address(self.host_ip), ipaddress.ip_address(other.host_ip)
        if ours.version != theirs.version:
            return False
        return ours == theirs or ours.is_unspecified or theirs.is_unspecified
