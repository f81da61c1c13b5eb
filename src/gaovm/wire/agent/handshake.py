"""The JSON of the agent's first line."""

from __future__ import annotations

import msgspec


class Hello(msgspec.Struct, frozen=True, kw_only=True):
    """What the agent says about itself when it is ready. Times are until this line."""

    version: str = ""
    exec_to_ready_ms: float = 0.0
    boot_ms: float = 0.0
    pid: int = 0
