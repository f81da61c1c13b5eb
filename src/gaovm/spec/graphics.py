"""The display of a VM: headless unless it is asked for."""

from __future__ import annotations

from typing import Annotated

import msgspec

from gaovm.spec.base import Frozen

Pixels = Annotated[int, msgspec.Meta(ge=64, le=8192)]


class Graphics(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A display device of ``width`` times ``height`` pixels at the start; the guest may change it.

    The size limit of 64 is that of ``gaovm.v1.2``.
    """

    enabled: bool = False
    width: Pixels = 1280
    height: Pixels = 800
