"""The guest's clock: read, and corrected."""

from __future__ import annotations

from typing import Annotated

import msgspec

Time = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class Now(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of ``GET /v1/clock``: nanoseconds since 1970."""

    unix_ns: Time


class Correction(msgspec.Struct, frozen=True, kw_only=True):
    """The body of ``POST /v1/clock``: add this to the clock, at once or little by little.

    ``constant``: the time constant of the kernel's loop; see adjtimex(2).
    """

    offset_ns: int
    step: bool
    constant: int = 0


class Corrected(msgspec.Struct, frozen=True, kw_only=True):
    """Its answer: by how much the clock changes."""

    offset_ns: int = 0
