"""The fields of a qcow2 disk's header that GaoVM uses, and a new disk's whole content.

QEMU's docs/interop/qcow2.txt describes the format.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

MAGIC = b"QFI\xfb"
#: The length of a header of version 3 without extensions.
HEADER_BYTES = 104
#: The longest allowed name of a backing file.
MAX_BACKING = 1023
#: Incompatible features: the disk needs a repair after a crash; another file holds the data.
MENDABLE, EXTERNAL_DATA = 3, 1 << 2

#: Incompatible features of disks that other programs make: compressed clusters, subclusters.
COMPRESSION, SUBCLUSTERS = 1 << 3, 1 << 4
#: The place of the virtual size in the header, and its form.
SIZE_AT, SIZE = 24, struct.Struct(">Q")

_CLUSTER_BITS = 16
_CLUSTER = 1 << _CLUSTER_BITS
_BACKING_FORMAT = 0xE2792ACA
_HEAD = struct.Struct(">4sIQIIQII")
_FEATURES = struct.Struct(">Q")
_FEATURES_AT = 72


class Header(NamedTuple):
    """A header. ``backing_at``, ``backing_bytes``: the place of the backing file's name, 0: none.

    ``features``: the incompatible ones, 0 before version 3. ``size_bytes`` is the virtual size, and
    ``room_bytes`` the largest one that the disk's first table has entries for. ``encryption``: 0
    for none.
    """

    version: int
    backing_at: int
    backing_bytes: int
    size_bytes: int
    features: int
    encryption: int = 0
    room_bytes: int = 0

    @property
    def names_other_files(self) -> bool:
        """Whether the disk makes a hypervisor open another file: a backing file, or one of data."""
        return bool(self.backing_at or self.features & EXTERNAL_DATA)


def parse(head: bytes) -> Header | None:
    """Return the header at the beginning of a file; None if it is not qcow2 or is incomplete."""
    if len(head) < _HEAD.size or head[:4] != MAGIC:
        return None
    _, version, at, length, bits, size, encryption, entries = _HEAD.unpack_from(head)
    features = 0
    if version >= 3:
        if len(head) < _FEATURES_AT + _FEATURES.size:
            return None
        (features,) = _FEATURES.unpack_from(head, _FEATURES_AT)
    # an entry covers a second table of one cluster, each of whose entries takes 8 bytes
    room = entries << (2 * bits - 3) if 9 <= bits <= 21 else 0
    return Header(version, at, length, size, features, encryption, room)


class New(NamedTuple):
    """A new disk: the bytes at its file's beginning, and the file's length with the zeros after."""

    head: bytes
    file_bytes: int


def new(
    size_bytes: int, room_bytes: int = 0, backing: bytes = b"", backing_format: str = ""
) -> New:
    """Return a disk without any writes: a header and three tables.

    Version 3, in the order in which ``qemu-img create`` writes it: the table of reference counts,
    its first block, which counts these clusters, and an empty L1 table. With ``room_bytes`` the L1
    table is large enough for a disk of that size: to grow up to there, only the size in the header
    has to change.
    """
    kind = backing_format.encode()
    extension = b""
    if backing:
        extension = struct.pack(">II", _BACKING_FORMAT, len(kind))
        extension += kind.ljust(-(-len(kind) // 8) * 8, b"\0")
    extension += bytes(8)  # the end of the extensions
    entries = -(-max(size_bytes, room_bytes) // (_CLUSTER * (_CLUSTER // 8)))
    clusters = 3 + -(-entries * 8 // _CLUSTER)
    at = HEADER_BYTES + len(extension) if backing else 0
    header = struct.pack(
        ">4sIQIIQIIQQIIQQQQII",
        *(MAGIC, 3, at, len(backing), _CLUSTER_BITS, size_bytes),
        *(0, entries, 3 * _CLUSTER),  # no encryption; the L1 table
        *(_CLUSTER, 1, 0, 0),  # the reference counts; no snapshots
        *(0, 0, 0, 4, HEADER_BYTES),  # no feature bits; counts of 16 bits
    )
    head = header + extension + backing
    tables = struct.pack(">Q", 2 * _CLUSTER).ljust(_CLUSTER, b"\0")
    counts = struct.pack(f">{clusters}H", *[1] * clusters)
    return New(head.ljust(_CLUSTER, b"\0") + tables + counts, 3 * _CLUSTER + entries * 8)
