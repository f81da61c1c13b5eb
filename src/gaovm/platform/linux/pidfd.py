"""Exits by pidfd_open(2)."""

from __future__ import annotations

import os


class Pidfd:
    """Implements ``exits.Exit``."""

    def __init__(self, pid: int) -> None:
        self._fd = os.pidfd_open(pid)

    def fileno(self) -> int:
        """The pidfd; -1 once it is closed."""
        return self._fd

    def close(self) -> None:
        """Close it. Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
