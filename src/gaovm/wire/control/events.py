"""``events.subscribe``, and the notifications that follow it."""

from __future__ import annotations

from typing import Annotated

import msgspec

from gaovm.wire import anyjson


class Subscribe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``since``: the number of the last event that the caller has; null: from now on."""

    since: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] | None = None


class Subscribed(msgspec.Struct, frozen=True, kw_only=True):
    """``seq``: the number of the newest event; ``oldest``: of the oldest that is kept.

    With a ``since`` below ``oldest - 1`` some are lost, and the replay begins with ``oldest``.
    """

    ok: bool
    seq: int
    oldest: int


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """The notification ``event``: what happened, and of which VM; ``seq`` grows by one.

    ``ts``: UTC, ISO 8601. ``vm`` is null when the event concerns no VM.
    """

    seq: int
    type: str
    vm: str | None
    payload: anyjson.Object
    ts: str


class Lagged(msgspec.Struct, frozen=True, kw_only=True):
    """The notification ``event.lagged``: the subscription has ended (``too_slow``).

    ``seq`` is the last event that was sent; ``events.subscribe`` with it as ``since`` goes on.
    """

    seq: int
    error: anyjson.Object
