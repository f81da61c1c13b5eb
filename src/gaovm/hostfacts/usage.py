"""What a VM takes of the host: memory of its processes, and disk.

The kernel is asked, not the processes: one that hangs hangs nobody who asks.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from gaovm.platform import processes

_BLOCK = 512


class Memory(NamedTuple):
    """Resident memory of some processes, in bytes; what they share is counted once."""

    bytes: int
    processes: int


def of_tree(pid: int) -> Memory:
    """The memory of a process and of all below it; 0 processes when it is gone."""
    return Memory(*processes.tree_memory(pid))


def disk_bytes(directory: Path) -> int:
    """Bytes that the files below a directory take on the disk, holes left out."""
    total = 0
    for where, _, names in os.walk(directory):
        for name in names:
            try:
                total += Path(where, name).lstat().st_blocks * _BLOCK
            except OSError:
                continue  # it has just gone
    return total
