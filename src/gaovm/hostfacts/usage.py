"""What a VM takes of the host: memory of its processes, and disk.

Reads counters that the kernel keeps (``/proc/PID/statm``), so that a process that hangs hangs
nobody who asks.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

#: More processes than a VM can have: driver, hypervisor, share servers, network, window.
_MAX_PROCESSES = 256
_BLOCK = 512


class Memory(NamedTuple):
    """Resident memory of some processes, in bytes; what they share is counted once."""

    bytes: int
    processes: int


def of_tree(pid: int) -> Memory:
    """The memory of a process and of all below it; 0 processes when it is gone."""
    page = os.sysconf("SC_PAGE_SIZE")
    private = shared = count = 0
    waiting, seen = [pid], {pid}
    while waiting and count < _MAX_PROCESSES:
        at = waiting.pop()
        try:
            words = Path(f"/proc/{at}/statm").read_text(encoding="ascii").split()
            resident, common = int(words[1]), int(words[2])
        except (OSError, ValueError, IndexError):
            continue
        count += 1
        private += resident - common
        # the guest's RAM, where a share server maps it too: the largest holds all of it
        shared = max(shared, common)
        below = [child for child in _children(at) if child not in seen]
        seen.update(below)
        waiting += below
    return Memory((private + shared) * page, count)


def _children(pid: int) -> list[int]:
    found: list[int] = []
    try:
        for thread in os.scandir(f"/proc/{pid}/task"):
            text = Path(thread.path, "children").read_text(encoding="ascii")
            found += [int(word) for word in text.split()]
    except (OSError, ValueError):
        return found
    return found


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
