"""Frames inside an agent stream: ``type: u8 · length: u32 big endian · payload``.

Sans-I/O. ``Decoder`` takes bytes in any chunks; what breaks the bounds is a ``GuestProtocolError``,
after which the decoder is unusable.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from gaovm import errors

START, DATA, EOF, SIGNAL, RESIZE = 0x01, 0x02, 0x03, 0x04, 0x05
STARTED, OUTPUT, STDERR, EXIT, ERROR, OUTPUT_EOF = 0x11, 0x12, 0x13, 0x14, 0x15, 0x16
FROM_GUEST = frozenset((STARTED, OUTPUT, STDERR, EXIT, ERROR, OUTPUT_EOF))
MAX_PAYLOAD = 1 << 20
#: What is no output is small, or the guest's agent is not ours.
MAX_CONTROL = 64 << 10
MAX_EMPTY = 1000
_PIECES = frozenset((OUTPUT, STDERR))
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
    """Frames from the guest. Output is given as it comes, in other pieces than it was sent in.

    So no frame is gathered that the guest only begins, and many small ones are one.
    """

    def __init__(self) -> None:
        self._head = b""
        self._kind = self._left = self._empty = 0
        self._control = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """What is there so far: pieces of output, none of them empty, and whole other frames.

        Raises:
            errors.GuestProtocolError: an unknown type, a payload above 1 MiB (64 KiB in a frame
                that is no output), or more than 1,000 empty ones.
        """
        found: list[tuple[int, list[bytes]]] = []
        at, end = 0, len(data)
        while at < end or (self._head == b"" and self._kind and not self._left):
            if not self._kind:
                at = self._take_head(data, at)
                continue
            piece = data[at : at + self._left]
            at += len(piece)
            self._left -= len(piece)
            self._add(found, piece)
        return [Frame(kind, b"".join(pieces)) for kind, pieces in found]

    def _take_head(self, data: bytes, at: int) -> int:
        missing = HEADER.size - len(self._head)
        self._head += data[at : at + missing]
        if len(self._head) == HEADER.size:
            self._kind, self._left = HEADER.unpack(self._head)
            self._head = b""
            self._check()
        return at + missing

    def _check(self) -> None:
        limit = MAX_PAYLOAD if self._kind in _PIECES else MAX_CONTROL
        if self._kind not in FROM_GUEST or self._left > limit:
            raise errors.GuestProtocolError(
                f"the agent sent a frame of type {self._kind:#x} with {self._left} bytes"
            )
        self._empty += not self._left
        if self._empty > MAX_EMPTY:
            raise errors.GuestProtocolError(f"the agent sent more than {MAX_EMPTY} empty frames")

    def _add(self, found: list[tuple[int, list[bytes]]], piece: bytes) -> None:
        kind, whole = self._kind, not self._left
        if whole:
            self._kind = 0
        if kind not in _PIECES:
            self._control += piece
            if whole:
                found.append((kind, [bytes(self._control)]))
                self._control.clear()
        elif piece:
            if not found or found[-1][0] != kind:
                found.append((kind, []))
            found[-1][1].append(piece)
