"""Frames inside an agent stream: ``type: u8 · length: u32 big endian · payload``.

Sans-I/O. ``Decoder`` takes bytes in any chunks and gives whole frames; what breaks the bounds is a
``GuestProtocolError``, after which the decoder is unusable.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from gaovm import errors

START, DATA, EOF, SIGNAL, RESIZE = 0x01, 0x02, 0x03, 0x04, 0x05
STARTED, OUTPUT, STDERR, EXIT, ERROR, OUTPUT_EOF = 0x11, 0x12, 0x13, 0x14, 0x15, 0x16
FROM_GUEST = frozenset((STARTED, OUTPUT, STDERR, EXIT, ERROR, OUTPUT_EOF))
MAX_PAYLOAD = 1 << 20
HEADER = struct.Struct(">BI")


class Frame(NamedTuple):
    """One frame: its type and payload."""

    kind: int
    payload: bytes


def encode(kind: int, payload: bytes = b"") -> bytes:
    """The bytes of one frame; the payload is at most 1 MiB."""
    if len(payload) > MAX_PAYLOAD:
        raise errors.InvalidParams(f"a frame holds at most {MAX_PAYLOAD} bytes")
    return HEADER.pack(kind, len(payload)) + payload


class Decoder:
    """Frames from the guest."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """Whole frames so far.

        Raises:
            errors.GuestProtocolError: unknown type or a payload above 1 MiB.
        """
        self._buffer += data
        found = []
        while len(self._buffer) >= HEADER.size:
            kind, length = HEADER.unpack_from(self._buffer)
            if kind not in FROM_GUEST or length > MAX_PAYLOAD:
                raise errors.GuestProtocolError(
                    f"the agent sent a frame of type {kind:#x} with {length} bytes"
                )
            end = HEADER.size + length
            if len(self._buffer) < end:
                break
            found.append(Frame(kind, bytes(self._buffer[HEADER.size : end])))
            del self._buffer[:end]
        return found
