"""``image.*``: list, build, pull, remove, prune."""

from __future__ import annotations

from typing import Literal

import msgspec

from gaovm.wire.control.bounds import Text


class Build(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``arch``: the host's when not given; ``force``: build again."""

    name: Text
    arch: Text | None = None
    kernel: Literal["generic", "cloud"] | None = None
    mirror: Text | None = None
    force: bool = False


class Pull(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the image is, and the digest that it must have; none: that of its first download."""

    location: Text
    digest: Text | None = None


class Remove(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``ref``: a name or a digest."""

    ref: Text


class Prune(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``cache``: also remove what GaoVM can make again."""

    cache: bool = False


class ImageInfo(msgspec.Struct, frozen=True, kw_only=True):
    """An image of the store; ``kernel`` is null when it has no kernel."""

    name: str
    arch: str
    kernel: str | None
    digest: str
    size_bytes: int
    created_at: str


class Image(ImageInfo, frozen=True, kw_only=True):
    """An image, and the VMs whose disks are overlays of it."""

    used_by: tuple[str, ...]


class ImageList(msgspec.Struct, frozen=True, kw_only=True):
    """All images of the store, newest first."""

    images: tuple[Image, ...]


class Pruned(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The images that the call removed, and the bytes that this freed.

    ``cache_freed_bytes`` is there only if the caller asked to clear the cache.
    """

    removed: tuple[ImageInfo, ...]
    freed_bytes: int
    cache_freed_bytes: int | None = None
