"""The guest's file systems on its disks."""

from __future__ import annotations

import msgspec


class Grow(msgspec.Struct, frozen=True, kw_only=True):
    """The body of ``POST /v1/disk/grow``: the size of the disk."""

    size_bytes: int


class Grown(msgspec.Struct, frozen=True, kw_only=True):
    """Its answer: the size of the root file system."""

    total_bytes: int = 0
