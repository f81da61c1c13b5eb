"""Network: what carries the guest's traffic, and ports that lead to the guest or to the host."""

from __future__ import annotations

from typing import Literal

import msgspec

from gaovm.spec.base import Frozen
from gaovm.spec.portrules import Rule
from gaovm.spec.ports import Port, PortForward, SocketForward

#: The host in the guest's network, on every back end.
GATEWAY = "10.0.2.2"


class Network(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``user``: the guest has outbound access and DNS, without root on the host.

    ``host_access``: whether the guest's gateway address also leads to the host's loopback. Then the
    guest can reach every server that listens on ``127.0.0.1`` of the host. ``host_ports``: single
    TCP ports of the host's ``127.0.0.1`` that the guest reaches at ``host.lima.internal``.
    """

    mode: Literal["user"] = "user"
    host_access: bool = False
    #: The JSON name is ``forwards``: in the database, in ``config.json`` and to drivers.
    ports: tuple[PortForward, ...] = msgspec.field(default=(), name="forwards")
    #: Decide which of the guest's listeners are forwarded; the first that matches counts.
    rules: tuple[Rule, ...] = ()
    #: Sockets that lead to a socket, in either direction.
    sockets: tuple[SocketForward, ...] = ()
    host_ports: tuple[Port, ...] = ()

    @property
    def opens_host(self) -> bool:
        """Return whether the guest reaches anything of the host."""
        return self.host_access or self.host_ports != ()
