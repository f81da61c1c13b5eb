"""Log files of bounded size: a file and its older generations ``.1`` to ``.3``."""

from __future__ import annotations

import os
from pathlib import Path

MAX_BYTES = 10 << 20
KEEP = 3


class BoundedLog:
    """Appends bytes; at ``max_bytes`` the file becomes ``.1``. Mode 0600.

    A disk that is full loses log lines, never the VM.
    """

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES, keep: int = KEEP) -> None:
        self._path, self._max, self._keep = path, max_bytes, keep
        self._fd = self._open()
        self._size = os.fstat(self._fd).st_size

    def write(self, data: bytes | memoryview) -> None:
        """Append; rotates first when the file is full."""
        try:
            if self._size and self._size + len(data) > self._max:
                self._rotate()
            self._size += os.write(self._fd, data)
        except OSError:
            return

    def close(self) -> None:
        """Close the file. Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _open(self) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        return os.open(self._path, flags, 0o600)

    def _rotate(self) -> None:
        for number in range(self._keep, 0, -1):
            source = self._generation(number - 1)
            if source.exists():
                source.replace(self._generation(number))
        os.close(self._fd)
        self._fd = -1
        self._fd, self._size = self._open(), 0

    def _generation(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}") if number else self._path
