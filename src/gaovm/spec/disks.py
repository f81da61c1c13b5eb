"""Disks: the image that a VM starts from, the size of its own overlay, and its additional disks."""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Literal

import msgspec

from gaovm.spec.base import Frozen
from gaovm.spec.memory import GIB

#: The format of an additional disk's file, as the store of disks keeps it.
DiskFormat = Literal["qcow2", "raw"]
#: The sizes that an additional disk may have, in bytes.
SMALLEST_BYTES, LARGEST_BYTES = 1 << 20, 1 << 46
#: Lima's rule for identifiers, and the longest one.
NAME_PATTERN, MAX_NAME = r"[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*", 76
#: One VM's additional disks share one PCI slot, which has eight functions.
MAX_ADDITIONAL = 8
MAX_FS_ARGUMENTS = 32
_NAME = re.compile(NAME_PATTERN)


class ImageFile(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file: its location (path or URL) and its digest (``sha256:<hex>``)."""

    location: str
    digest: str | None = None


class Image(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The source of the root disk: a name (``debian:12``), or a location.

    A URL without a digest must have the digest of its first download. ``others`` are the images to
    take instead, in this order, when this one cannot be had; they have none of their own. Unset
    it is not written: a driver from before an upgrade knows no such field.
    """

    location: str
    digest: str | None = None
    kernel: ImageFile | None = None
    initrd: ImageFile | None = None
    kernel_arguments: str = ""
    others: tuple[Image, ...] | msgspec.UnsetType = msgspec.UNSET

    @property
    def choices(self) -> tuple[Image, ...]:
        """Return this image and the others, in the order in which to try them."""
        return (self, *(self.others or ()))


class Disk(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The root disk: a qcow2 overlay of the image, ``size_bytes`` large, sparse. It only grows."""

    size_bytes: Annotated[int, msgspec.Meta(ge=1 << 20, le=1 << 46)] = 20 * GIB


class AdditionalDisk(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A named disk of the daemon that the VM gets beside its root disk.

    ``format``: make a file system of type ``fs_type`` on it, with the ``fs_args`` of its mkfs, when
    the disk holds nothing at all. A disk that holds anything is never formatted.
    """

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_NAME)]
    format: bool = True
    fs_type: str = "ext4"
    fs_args: tuple[str, ...] = ()

    @property
    def mount_point(self) -> str:
        """Return where the guest mounts it: Lima's place."""
        return f"/mnt/lima-{self.name}"


def is_disk_name(text: str) -> bool:
    """Return whether a disk may have this name; it is also the name of a directory."""
    return len(text) <= MAX_NAME and _NAME.fullmatch(text) is not None


def serial(name: str) -> str:
    """Return the serial number by which the guest finds a disk: virtio allows 20 bytes.

    The kernel numbers its disks in the order in which it finds them, which says nothing of names.
    """
    return "gaovm-" + hashlib.sha256(name.encode()).hexdigest()[:14]
