"""How much memory, CPU and disk space this host has."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple


class Memory(NamedTuple):
    """Bytes of RAM: the total, and what is available without swapping."""

    total_bytes: int
    available_bytes: int


def memory() -> Memory:
    """Return the host's RAM; if the system does not say what is available, that is the total."""
    values: dict[str, int] = {}
    try:
        with Path("/proc/meminfo").open(encoding="ascii") as file:
            for line in file:
                key, _, rest = line.partition(":")
                if key in ("MemTotal", "MemAvailable"):
                    values[key] = int(rest.split()[0]) * 1024
                if len(values) == 2:
                    break
    except (OSError, ValueError, IndexError):
        values.clear()
    total = values.get("MemTotal") or os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return Memory(total, values.get("MemAvailable", total))


def cpus() -> int:
    """Return how many CPUs this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def disk_free_bytes(path: Path) -> int:
    """Return how many bytes can still be written where ``path`` is or will be.

    Raises:
        OSError: the file system does not answer.
    """
    current = path.absolute()
    while not current.exists() and current != current.parent:
        current = current.parent
    status = os.statvfs(current)
    return status.f_bavail * status.f_frsize
