"""The stream of a connection inside the guest."""

from __future__ import annotations

from typing import Literal

import msgspec

Network = Literal["tcp", "udp", "unix", "accepted"]


class Tunnel(msgspec.Struct, frozen=True, kw_only=True):
    """The START frame; ``address``: ``HOST:PORT``, a path with ``unix``.

    With ``accepted`` it is the ``id`` of a connection that a guest's program made (``Accepted``).
    """

    address: str
    network: Network = "tcp"
