"""Shares, as the agent mounts them."""

from __future__ import annotations

import msgspec


class Mount(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One share to mount. ``type`` is ``9p`` or ``virtiofs``; ``options`` are mount(8)'s."""

    tag: str
    type: str
    path: str
    writable: bool = False
    options: str = ""


class Mounted(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one; ``error`` says why it is not there."""

    path: str
    ok: bool
    error: str = ""
