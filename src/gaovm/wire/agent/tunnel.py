"""The stream of a connection inside the guest."""

from __future__ import annotations

from typing import Literal

import msgspec


class Tunnel(msgspec.Struct, frozen=True, kw_only=True):
    """The START frame; ``address``: ``HOST:PORT``, or a path with ``unix``."""

    address: str
    network: Literal["tcp", "udp", "unix"] = "tcp"
