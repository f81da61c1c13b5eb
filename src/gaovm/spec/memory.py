"""Guest memory."""

from __future__ import annotations

from typing import Annotated

import msgspec

from gaovm.spec.base import Frozen

MIB = 1 << 20
GIB = 1 << 30


class Memory(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Size of guest RAM in bytes; at least 128 MiB, because Debian does not boot with less."""

    size_bytes: Annotated[int, msgspec.Meta(ge=128 * MIB, le=1 << 44)] = 2 * GIB
