"""``disk.*``: named disks, which belong to no VM."""

from __future__ import annotations

from typing import Annotated

import msgspec

from gaovm.spec.disks import DiskFormat
from gaovm.wire.control.bounds import Name, Text

SizeBytes = Annotated[int, msgspec.Meta(ge=1, le=1 << 46)]


class Create(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An empty disk of this size."""

    name: Name
    size_bytes: SizeBytes
    format: DiskFormat = "qcow2"


class Import(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``path``: a raw or qcow2 file, absolute; the disk is a copy of it."""

    name: Name
    path: Text


class Resize(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The new size; a disk may only grow."""

    name: Name
    size_bytes: SizeBytes


class Remove(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``force``: also a disk that configs of stopped VMs name."""

    name: Name
    force: bool = False


class DiskInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A named disk. ``size_bytes`` is what the guest sees, ``used_bytes`` what it takes here.

    ``in_use_by``: the VM that has it now. ``used_by``: the VMs whose config names it. ``problem``:
    what is wrong with it.
    """

    name: str
    format: DiskFormat
    size_bytes: int
    used_bytes: int
    dir: str
    created_at: str
    in_use_by: str | None
    used_by: tuple[str, ...]
    problem: str | None


class DiskList(msgspec.Struct, frozen=True, kw_only=True):
    """All named disks, by name."""

    disks: tuple[DiskInfo, ...]


class RemovedDisk(msgspec.Struct, frozen=True, kw_only=True):
    """The removed disk, and the bytes that this freed."""

    name: str
    freed_bytes: int
