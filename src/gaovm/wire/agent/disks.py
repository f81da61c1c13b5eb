"""The guest's file systems on its disks."""

from __future__ import annotations

import msgspec


class Grow(msgspec.Struct, frozen=True, kw_only=True):
    """The body of ``POST /v1/disk/grow``: the size of the disk."""

    size_bytes: int


class Grown(msgspec.Struct, frozen=True, kw_only=True):
    """Its answer: the size of the root file system."""

    total_bytes: int = 0


class Disk(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """An additional disk, found by its serial number and mounted at ``path``.

    ``format``: make a file system of type ``fs_type`` if the disk holds nothing at all.
    """

    serial: str
    path: str
    fs_type: str
    format: bool = False
    fs_args: tuple[str, ...] = ()


class MountDisks(msgspec.Struct, frozen=True, kw_only=True):
    """The body of ``POST /v1/disks/mount``."""

    disks: tuple[Disk, ...]


class DiskMounted(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one disk; ``error`` and its ``code`` say why it failed.

    ``fs_type`` is empty when the disk has no file system and none was asked for: then it is not
    mounted.
    """

    path: str
    ok: bool
    error: str = ""
    code: str = ""
    fs_type: str = ""
    formatted: bool = False
    total_bytes: int = 0


class DisksMounted(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of ``POST /v1/disks/mount``."""

    disks: tuple[DiskMounted, ...] = ()
