"""Virtual CPUs."""

from __future__ import annotations

from typing import Annotated

import msgspec

from gaovm.spec.base import Frozen


class Processors(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``count`` vCPUs, one socket, one thread each."""

    count: Annotated[int, msgspec.Meta(ge=1, le=256)] = 2
