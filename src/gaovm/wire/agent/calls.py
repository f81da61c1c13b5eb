"""What every plain call has in common: the refusal, and the answer that says nothing."""

from __future__ import annotations

import msgspec


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Why the agent refused; also the payload of an ERROR frame. ``field``: of the request."""

    code: str = "internal"
    message: str = ""
    field: str | None = None


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of a call that failed."""

    error: Problem


class Nothing(msgspec.Struct, frozen=True):
    """An answer whose content does not matter."""
