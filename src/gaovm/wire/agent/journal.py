"""The agent's log."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

LevelName = Annotated[str, msgspec.Meta(examples=["error", "warn", "info", "debug"])]


class Follow(msgspec.Struct, frozen=True, kw_only=True):
    """The body of ``POST /v1/log``: lines of this level or worse, numbered above ``after``."""

    level: LevelName
    after: int


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the answer. ``age_ms``: how long ago it was written."""

    message: str
    seq: int = 0
    age_ms: int = 0
    level: Literal["error", "warn", "info", "debug"] = "info"
