"""What a VM uses of the host: the memory of its processes, and disk space.

The figures come from the kernel, not from the processes: a process that hangs blocks no caller.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from gaovm.platform import processes

_BLOCK = 512


class Memory(NamedTuple):
    """Resident memory of some processes, in bytes; shared memory is counted once."""

    bytes: int
    processes: int


def of_tree(pid: int) -> Memory:
    """Return the memory of a process and all its descendants; 0 processes if it is gone."""
    return Memory(*processes.tree_memory(pid))


def disk_bytes(directory: Path) -> int:
    """Return the bytes that the files below a directory take on the disk, without holes."""
    total = 0
    for where, _, names in os.walk(directory):
        for name in names:
            try:
                total += Path(where, name).lstat().st_blocks * _BLOCK
            except OSError:
                continue  # somebody has just removed it
    return total
