"""Working directories of builds and pulls, which carry the name of their process.

The name ``.tmp.<pid>.<start time>.<random>`` tells whether the process that made the directory is
still alive: the start time, in clock ticks, tells it from a later process with the same pid.
Finished work leaves by rename; the store removes directories of dead processes.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from gaovm.platform import processes

_PREFIX = ".tmp"


def make(parent: Path) -> Path:
    """Make an empty working directory of this process in ``parent``, which may be missing."""
    parent.mkdir(parents=True, exist_ok=True)
    pid, started = processes.identity(os.getpid())
    path = parent / f"{_PREFIX}.{pid}.{started}.{secrets.token_hex(4)}"
    path.mkdir(mode=0o755)
    return path


def dead(parent: Path) -> list[Path]:
    """Return the working directories in ``parent`` whose process is gone."""
    found = []
    for path in sorted(parent.glob(f"{_PREFIX}.*")):
        parts = path.name.split(".")
        if len(parts) != 5 or not (parts[2].isdigit() and parts[3].isdigit()):
            continue
        if not processes.alive(int(parts[2]), int(parts[3])):
            found.append(path)
    return found
