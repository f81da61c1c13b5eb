"""The daemon itself (``ping``, ``daemon.*``), and calls under way (``call.cancel``)."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from gaovm.wire.control.bounds import Name


class Upgrade(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``timeout_s``: how long operations that are under way may take, in seconds."""

    timeout_s: Annotated[float, msgspec.Meta(ge=0, le=86400)] = 60.0


class Cancel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``id``: of a request on the same connection.

    ``then``: what becomes of an ``up`` that nobody else waits for. Without it the daemon undoes
    the ``up`` until the agent has answered, and lets it go on from then.
    """

    id: int | Name
    then: Literal["undo", "keep"] | None = None


class Pong(msgspec.Struct, frozen=True, kw_only=True):
    """The daemon answers; ``ts``: its clock, in seconds since 1970."""

    ok: bool
    ts: float


class VmCount(msgspec.Struct, frozen=True, kw_only=True):
    """How many VMs there are, and how many of them run."""

    running: int
    total: int


class Stalls(msgspec.Struct, frozen=True, kw_only=True):
    """Turns of the daemon's event loop that took over 1 s: how many, and the longest in seconds."""

    count: int
    longest_s: float


class Recovered(msgspec.Struct, frozen=True, kw_only=True):
    """How the daemon recovered its database from the copy.

    ``quarantined``: where the damaged database lies now; null when it was missing. ``copied_at``:
    how old the copy is. ``vms``: how many VMs it knew.
    """

    reason: str
    quarantined: str | None
    copied_at: str
    vms: int


class DaemonStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Facts about the daemon.

    ``recovered``: not null if it restored its database from the copy. ``quarantined_vms``: names of
    the VMs whose damaged rows it repaired or put aside. ``drift_mended``: how often it corrected
    a difference that no event explains.
    """

    pid: int
    version: str
    protocol: str
    home: str
    started_at: str
    vms: VmCount
    zygote_pid: int | None
    recovered: Recovered | None
    quarantined_vms: tuple[str, ...]
    drift_mended: int
    stalls: Stalls
    rss_bytes: int


class Stopping(msgspec.Struct, frozen=True, kw_only=True):
    """The daemon has begun to end."""

    stopping: bool


class Upgraded(msgspec.Struct, frozen=True, kw_only=True):
    """The new code has taken over: how many drivers (``vms``) and clients it goes on with."""

    old_version: str
    new_version: str
    pid: int
    python: str
    vms: int
    clients: int


class Cancelled(msgspec.Struct, frozen=True, kw_only=True):
    """False when no such call was under way."""

    cancelled: bool
