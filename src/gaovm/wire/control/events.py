"""``events.subscribe``, and the notifications that follow it."""

from __future__ import annotations

from typing import Annotated

import msgspec


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
