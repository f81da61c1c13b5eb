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


def create_split(label: str) -> tuple[int, int]:
    """Like ``create``, but open twice: a descriptor to read from, and one that can only write.

    Raises:
        OSError: the file cannot be made.
    """
    if system.LINUX:
        both = os.memfd_create(label)
        return both, _reopen(f"/proc/self/fd/{both}", both)
    both, path = tempfile.mkstemp(prefix=f"{label}.")
    try:
        return both, _reopen(path, both)
    finally:
        os.unlink(path)


def _reopen(path: str, both: int) -> int:
    try:
        return os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        os.close(both)
        raise
