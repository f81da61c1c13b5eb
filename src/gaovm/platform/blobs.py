"""Files without a name, which go with their last descriptor."""

from __future__ import annotations

import os
import tempfile

from gaovm.platform import system


def create(label: str) -> int:
    """A new, empty file for reading and writing: in memory on Linux, else in the directory of
    temporary files. ``label`` is for whoever lists descriptors. The caller closes it.

    Raises:
        OSError: it cannot be made.
    """
    if system.LINUX:
        return os.memfd_create(label)
    fd, path = tempfile.mkstemp(prefix=f"{label}.")
    os.unlink(path)
    return fd
