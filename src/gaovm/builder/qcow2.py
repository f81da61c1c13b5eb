"""The fields of a qcow2 disk's header that GaoVM uses.

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

_HEAD = struct.Struct(">4sIQIIQ")
_FEATURES = struct.Struct(">Q")
_FEATURES_AT = 72


class Header(NamedTuple):
    """A header. ``backing_at``, ``backing_bytes``: the place of the backing file's name, 0: none.

    ``features``: the incompatible ones, 0 before version 3. ``size_bytes`` is the virtual size.
    """

    version: int
    backing_at: int
    backing_bytes: int
    size_bytes: int
    features: int


def parse(head: bytes) -> Header | None:
    """Return the header at the beginning of a file; None if it is not qcow2 or is incomplete."""
    if len(head) < _HEAD.size or head[:4] != MAGIC:
        return None
    _, version, at, length, _, size = _HEAD.unpack_from(head)
    features = 0
    if version >= 3:
        if len(head) < _FEATURES_AT + _FEATURES.size:
            return None
        (features,) = _FEATURES.unpack_from(head, _FEATURES_AT)
    return Header(version, at, length, size, features)
