"""Virtual CPUs."""

from __future__ import annotations

from typing import Annotated

import msgspec

from gaovm.spec.base import Frozen


class Processors(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``count`` vCPUs, one socket, one thread each.

    ``model``: the back end's name of a CPU, with its features; empty: the builder chooses.
    ``nested``: the guest runs VMs of its own with hardware help.
    """

    count: Annotated[int, msgspec.Meta(ge=1, le=256)] = 2
    model: Annotated[str, msgspec.Meta(max_length=256)] = ""
    nested: bool = False
