"""The two frames before a session's stream: the client's ticket, and the driver's answer.

Each is a length (4 bytes, big endian) and a JSON object. Cheap to import: this is on the path of
``gaovm exec``. The structs of the same frames are in ``wire.driver.opening``.
"""

from __future__ import annotations

import json
import struct

LENGTH = struct.Struct(">I")
MAX_OPENING_BYTES = 4096
MAX_ANSWER_BYTES = 64 << 10


def frame(body: bytes) -> bytes:
    """``body`` with its length before it."""
    return LENGTH.pack(len(body)) + body


def opening(ticket: str, stream: str) -> bytes:
    """The client's frame: it presents a ticket and says which stream it wants."""
    return frame(json.dumps({"ticket": ticket, "stream": stream}).encode())
