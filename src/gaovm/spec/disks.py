"""Disks: the image that a VM starts from, and the size of the VM's own overlay."""

from __future__ import annotations

from typing import Annotated

import msgspec

from gaovm.spec.base import Frozen
from gaovm.spec.memory import GIB


class ImageFile(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file: its location (path or URL) and its digest (``sha256:<hex>``)."""

    location: str
    digest: str | None = None


class Image(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The source of the root disk: a name (``debian:12``), or a location with a digest."""

    location: str
    digest: str | None = None
    kernel: ImageFile | None = None
    initrd: ImageFile | None = None
    kernel_arguments: str = ""


class Disk(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The root disk: a qcow2 overlay of the image, ``size_bytes`` large, sparse. It only grows."""

    size_bytes: Annotated[int, msgspec.Meta(ge=1 << 20, le=1 << 46)] = 20 * GIB
