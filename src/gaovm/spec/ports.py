"""Ports: forwards that a VM always has. ``portrules`` has those that follow the guest's servers."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal

import msgspec

from gaovm.spec.base import Frozen

Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
HostPort = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Proto = Literal["tcp", "udp"]


class PortForward(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A host port that is open while the VM runs, whether or not a server listens in the guest.

    What comes to ``host_ip:host_port`` reaches ``guest_ip:guest_port`` in the guest. ``host_port``
    0 means any free port: each start chooses one, and status shows it.
    """

    guest_port: Port
    host_port: HostPort = 0
    guest_ip: str = "127.0.0.1"
    host_ip: str = "127.0.0.1"
    proto: Proto = "tcp"
    field: str | None = None

    def clashes(self, other: PortForward) -> bool:
        """Return whether both conflict: one host port, and one address covers the other."""
        if self.host_port == 0 or self.host_port != other.host_port or self.proto != other.proto:
            return False
        return covers(self.host_ip, other.host_ip)


class SocketForward(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A Unix socket of the guest that the host reaches, or with ``reverse`` one of the host.

    The host's end is ``host_socket``, or ``host_ip:host_port`` when that is empty. A relative
    ``host_socket`` is below ``sock`` in the VM's directory. ``reverse``: the guest's end is made in
    the guest, and leads to the host's socket. ``static``: the VM does not start without it.
    """

    guest_socket: str
    host_socket: str = ""
    host_ip: str = "127.0.0.1"
    host_port: HostPort = 0
    reverse: bool = False
    static: bool = False
    field: str | None = None


def covers(one: str, other: str) -> bool:
    """Return whether two sockets on these addresses cannot have the same port."""
    ours, theirs = ipaddress.ip_address(one), ipaddress.ip_address(other)
    if ours.version != theirs.version:
        return False
    return ours == theirs or ours.is_unspecified or theirs.is_unspecified
