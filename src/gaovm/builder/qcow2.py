"""The header of a qcow2 disk, as far as anybody here looks at it.

The format: docs/interop/qcow2.txt of QEMU.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

MAGIC = b"QFI\xfb"
#: The length of a header of version 3 without extensions.
HEADER_BYTES = 104
#: How long the name of a backing file may be.
MAX_BACKING = 1023
#: Incompatible features: a crash left something to mend; the data is in another file.
MENDABLE, EXTERNAL_DATA = 3, 1 << 2

_HEAD = struct.Struct(">4sIQIIQ")
_FEATURES = struct.Struct(">Q")
_FEATURES_AT = 72


class Header(NamedTuple):
    """``backing_at``, ``backing_bytes``: where the backing file's name lies; 0: there is none.

    ``features``: the incompatible ones, 0 before version 3. ``size_bytes`` is the virtual size.
    """

    version: int
    backing_at: int
    backing_bytes: int
    size_bytes: int
    features: int


def parse(head: bytes) -> Header | None:
    """The header at the beginning of a file; None when it is no qcow2, or cut short."""
    if len(head) < _HEAD.size or head[:4] != MAGIC:
        return None
    _, version, at, length, _, size = _HEAD.unpack_from(head)
    features = 0
    if version >= 3:
        if len(head) < _FEATURES_AT + _FEATURES.size:
            return None
        (features,) = _FEATURES.unpack_from(head, _FEATURES_AT)
    return Header(version, at, length, size, features)
