"""The two frames before a session's stream, as structs (``wire.sessions`` has their form)."""

from __future__ import annotations

import msgspec


class Opening(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The client's ticket, and the stream that it wants: ``exec``, ``tunnel``, ``copy-in``, …"""

    ticket: str
    stream: str


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Why the driver refuses: an error's word and its message."""

    code: str
    message: str


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The driver's answer: ``ok``, and the stream begins; or an error, and the socket closes."""

    ok: bool = False
    error: Refusal | None = None
