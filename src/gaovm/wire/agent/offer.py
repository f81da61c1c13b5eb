"""The stream of an end of the host's in the guest: the agent listens, the host connects."""

from __future__ import annotations

from typing import Literal

import msgspec


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """The START frame: a loopback address ``IP:PORT``, or a path with ``unix`` and its owner."""

    network: Literal["tcp", "unix"]
    address: str
    uid: int = 0
    gid: int = 0


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """The payload of OUT: a program has connected. A tunnel to ``accepted`` ``id`` takes it."""

    id: str
