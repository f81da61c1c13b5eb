"""Take disk space before it is needed."""

from __future__ import annotations

import os

_CHUNK = bytes(1 << 20)


def reserve(fd: int, size_bytes: int) -> None:
    """Give a new file this size, all on the disk; write zeros if the system cannot do better.

    Raises:
        OSError: as the system says, for example if no space is left.
    """
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, 0, size_bytes)
        return
    left = size_bytes
    while left > 0:
        left -= os.write(fd, _CHUNK[:left])
    os.fsync(fd)
