"""The display of a VM; a VM is headless unless the user asks for a display."""

from __future__ import annotations

from typing import Annotated

import msgspec

from gaovm.spec.base import Frozen

Pixels = Annotated[int, msgspec.Meta(ge=64, le=8192)]


class Graphics(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A display device, at first ``width`` times ``height`` pixels; the guest may change the size.

    The lower limit of 64 comes from ``gaovm.v1.2``.
    """

    enabled: bool = False
    width: Pixels = 1280
    height: Pixels = 800
