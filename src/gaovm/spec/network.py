"""Network: what carries the guest's traffic, and the ports that GaoVM forwards to the guest."""

from __future__ import annotations

from typing import Literal

import msgspec

from gaovm.spec.base import Frozen
from gaovm.spec.ports import PortForward

#: The host in the guest's network, on every back end.
GATEWAY = "10.0.2.2"


class Network(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``user``: the guest has outbound access and DNS, without root on the host.

    ``host_access``: whether the guest's gateway address also leads to the host's loopback. Then the
    guest can reach every server that listens on ``127.0.0.1`` of the host.
    """

    mode: Literal["user"] = "user"
    host_access: bool = False
    #: The JSON name is ``forwards``: in the database, in ``config.json`` and to drivers.
    ports: tuple[PortForward, ...] = msgspec.field(default=(), name="forwards")
