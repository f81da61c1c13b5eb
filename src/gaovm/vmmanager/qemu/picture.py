"""The file through which QEMU hands over a picture of the display. It has no name."""

from __future__ import annotations

import io
import os

from gaovm import errors
from gaovm.platform import blobs

#: The size of an 8192 x 8192 picture that compression does not make smaller.
MAX_BYTES = 256 << 20


class Picture:
    """The file, open twice: QEMU accepts no descriptor that can also read.

    Raises:
        errors.HostError: the file cannot be made.
    """

    def __init__(self) -> None:
        try:
            reading, writing = blobs.create_split("screenshot")
        except OSError as exc:
            raise errors.HostError(f"no file for screenshots: {exc.strerror}") from exc
        self._reading, self._writing = io.FileIO(reading, "r"), io.FileIO(writing, "w")

    def for_qemu(self) -> io.FileIO:
        """Return a descriptor to write to; the caller closes it."""
        return io.FileIO(os.dup(self._writing.fileno()), "w")

    def clear(self) -> None:
        """Make the file empty: QEMU writes from the position that its descriptor has with ours."""
        self._writing.seek(0)
        self._writing.truncate(0)

    def read(self) -> bytes:
        """Return what QEMU wrote, at most ``MAX_BYTES``."""
        self._reading.seek(0)
        return self._reading.read(MAX_BYTES)

    def close(self) -> None:
        """Close our descriptors. Idempotent."""
        self._reading.close()
        self._writing.close()
