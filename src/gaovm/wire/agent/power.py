"""Power off and reboot."""

from __future__ import annotations

from typing import Literal

import msgspec


class Power(msgspec.Struct, frozen=True, kw_only=True):
    """The body of ``POST /v1/power``."""

    action: Literal["poweroff", "reboot"]
