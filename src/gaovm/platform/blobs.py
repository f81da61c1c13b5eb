"""Files without a name: each disappears with its last descriptor."""

from __future__ import annotations

import os
import tempfile

from gaovm.platform import system


def create(label: str) -> int:
    """Make an empty file for reading and writing; the caller closes it.

    It is in memory on Linux, else in the directory of temporary files. ``label`` is for people
    who list descriptors.

    Raises:
        OSError: the file cannot be made.
    """
    if system.LINUX:
        return os.memfd_create(label)
    fd, path = tempfile.mkstemp(prefix=f"{label}.")
    os.unlink(path)
    return fd
