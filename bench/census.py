"""Which processes belong to a state directory, even after the process that started them is gone.

A process belongs to the directory if its environment names the directory, or its parent belongs to
it. The census remembers every process it saw, by pid and start time, and so recognises orphans.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import NamedTuple


class Process(NamedTuple):
    """A live process. ``kind``: daemon, zygote, driver, hypervisor or helper."""

    pid: int
    parent: int
    start: str
    kind: str


class Census:
    """The processes seen so far. Look often enough to see each one while its parent lives."""

    def __init__(self, home: Path) -> None:
        self._mark = f"GAOVM_HOME={home}\0".encode()
        self._known: dict[tuple[int, str], bool] = {}
        self.daemon = -1

    def look(self) -> dict[int, Process]:
        """Return every live process of the directory, by pid."""
        stats: dict[int, tuple[int, str]] = {}
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError, ValueError):
                words = (entry / "stat").read_text().rpartition(")")[2].split()
                if entry.name.isdigit() and words[0] not in "ZX":
                    stats[int(entry.name)] = (int(words[1]), words[19])
        found: dict[int, Process] = {}
        for pid in sorted(stats, key=lambda each: int(stats[each][1])):  # parents first
            parent, start = stats[pid]
            key = (pid, start)
            if not self._known.get(key):
                self._known[key] = parent in found or self._is_marked(pid)
            if self._known[key]:
                found[pid] = Process(pid, parent, start, self._kind(pid, parent))
        self._known = {key: ours for key, ours in self._known.items() if key[0] in stats}
        return found

    def _is_marked(self, pid: int) -> bool:
        with contextlib.suppress(OSError):
            return self._mark in Path(f"/proc/{pid}/environ").read_bytes()
        return False

    def _kind(self, pid: int, parent: int) -> str:
        with contextlib.suppress(OSError):
            words = Path(f"/proc/{pid}/cmdline").read_bytes()
            if b"gaovm.daemon" in words:
                return "daemon"
            if b"gaovm.driver.spawn.zygote" in words:
                return "zygote" if parent == self.daemon else "driver"
            if b"fake_qemu" in words or b"qemu-system" in words:
                return "hypervisor"
        return "helper"
