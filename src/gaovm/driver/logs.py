"""Logs of bytes without times: each has an index beside it that holds the times.

``serial.log`` is what the guest wrote, byte for byte. ``serial.times`` holds pairs of numbers (64
bits, little endian). The first pair is the log's inode and 0. Each later pair is an offset in the
log and the time, in ms since 1970, at which the bytes from there on came. Both files rotate
together.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

from gaovm.aio import clock, logs

PAIR = struct.Struct("<QQ")
# A console's bytes may come one by one; a reader of lines needs no times finer than this.
EVERY_MS = 50
MAX_INDEX_BYTES = 4 << 20


class StampedLog:
    """A rotating file of bytes with its index of times."""

    def __init__(self, path: Path, max_bytes: int = logs.MAX_BYTES, kept: int = logs.KEPT) -> None:
        self._log = logs.RotatingFile(path, max_bytes, kept)
        self._times = logs.RotatingFile(path.with_suffix(".times"), 2 * MAX_INDEX_BYTES, kept)
        self._last_ms = 0
        self._claim()

    def write(self, data: bytes | memoryview) -> None:
        """Append; on a full disk lines are lost, but the VM goes on."""
        try:
            if self._log.full(len(data)) or self._times.size >= MAX_INDEX_BYTES:
                self._log.rotate()
                self._times.rotate()
                self._claim()
        except OSError:
            return
        now_ms = int(clock.now() * 1000)
        if not 0 <= now_ms - self._last_ms < EVERY_MS:
            self._last_ms = now_ms
            self._times.write(PAIR.pack(self._log.size, now_ms))
        self._log.write(data)

    def close(self) -> None:
        """Close the files. Idempotent."""
        self._log.close()
        self._times.close()

    def _claim(self) -> None:
        """Tie the index to this log's inode: a reader must not trust another log's index."""
        head = PAIR.pack(os.fstat(self._log.fd).st_ino, 0)
        with self._times.path.open("rb") as file:
            there = file.read(PAIR.size)
        if there != head or self._times.size % PAIR.size:
            self._times.truncate()
            self._times.write(head)
