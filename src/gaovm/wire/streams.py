"""Frames of a session's stream: type (1 byte), length (4, big endian), payload up to 1 MiB.

Pure and cheap to import: this is on the path of ``gaovm exec``. The driver relays these frames
unparsed between a client and the agent, whose side is ``agent/internal/wire/frames.go``. The guest
is not trusted: a frame that breaks the rules is a ``GuestProtocolError``.
"""

from __future__ import annotations

import json
import struct

from gaovm import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any, TypeAlias

    #: A frame's type and its payload.
    Frame: TypeAlias = tuple[int, bytes]

START, DATA, EOF, SIGNAL, RESIZE = 0x01, 0x02, 0x03, 0x04, 0x05
STARTED, OUTPUT, STDERR, EXIT, ERROR, OUTPUT_EOF = 0x11, 0x12, 0x13, 0x14, 0x15, 0x16
FROM_GUEST = frozenset((STARTED, OUTPUT, STDERR, EXIT, ERROR, OUTPUT_EOF))

MAX_PAYLOAD = 1 << 20
#: Frames other than output are small, or the guest's agent is not ours.
MAX_CONTROL = 64 << 10
#: Empty frames that one stream may send: they carry nothing, and cost the reader time.
MAX_EMPTY = 1000
#: Large enough that a stream is not cut into many frames, small enough to share the channel.
CHUNK_BYTES = 256 << 10
HEADER = struct.Struct(">BI")
_PIECES = frozenset((OUTPUT, STDERR))


def encode(kind: int, payload: bytes = b"") -> bytes:
    """One frame.

    Raises:
        errors.InvalidParams: the payload is larger than 1 MiB.
    """
    if len(payload) > MAX_PAYLOAD:
        raise errors.InvalidParams(f"{len(payload)} bytes do not fit into a frame of 1 MiB")
    return HEADER.pack(kind, len(payload)) + payload


def encode_json(kind: int, value: Mapping[str, Any]) -> bytes:
    """One frame whose payload is JSON.

    Raises:
        errors.InvalidParams: larger than a frame holds, or text that is not UTF-8.
    """
    try:
        payload = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError as exc:
        raise errors.InvalidParams.not_utf8(exc) from exc
    return encode(kind, payload)


class Decoder:
    """Frames from the guest.

    Output comes in other pieces than it was sent in: a frame that has only begun is not gathered,
    and neighbouring small frames become one piece. Every other frame comes whole. With ``whole``
    output does too, each frame as it was sent: it is a datagram then, of at most 64 KiB.
    """

    __slots__ = ("_control", "_empty", "_head", "_kind", "_left", "_pieces")

    def __init__(self, *, whole: bool = False) -> None:
        self._pieces = frozenset[int]() if whole else _PIECES
        self._head = b""
        self._kind = self._left = self._empty = 0
        self._control = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Yield what ``data`` completes: pieces of output, none of them empty, and whole frames.

        Iterate to the end, or feed no more.

        Raises:
            errors.GuestProtocolError: after what came before it: an unknown type, a payload above
                1 MiB (64 KiB in a frame that is no output), or more than 1,000 empty frames.
        """
        output: list[bytes] = []
        running = 0  # the type of ``output``
        try:
            for kind, piece in self._cut(data):
                if output and kind != running:
                    yield running, b"".join(output)
                    output.clear()
                if kind in self._pieces:
                    running = kind
                    output.append(piece)
                else:
                    yield kind, piece
        except errors.GuestProtocolError:
            if output:
                yield running, b"".join(output)
            raise
        if output:
            yield running, b"".join(output)

    def _cut(self, data: bytes) -> Iterator[Frame]:
        at, end = 0, len(data)
        while at < end:
            if not self._kind:
                at = self._take_head(data, at)
                if not self._kind or self._left:
                    continue
            piece = data[at : at + self._left]
            at += len(piece)
            self._left -= len(piece)
            kind = self._kind
            if not self._left:
                self._kind = 0
            if kind in self._pieces:
                if piece:
                    yield kind, piece
                continue
            self._control += piece
            if not self._kind:
                whole = bytes(self._control)
                self._control.clear()
                yield kind, whole

    def _take_head(self, data: bytes, at: int) -> int:
        missing = HEADER.size - len(self._head)
        self._head += data[at : at + missing]
        if len(self._head) == HEADER.size:
            self._kind, self._left = HEADER.unpack(self._head)
            self._head = b""
            self._check()
        return at + missing

    def _check(self) -> None:
        limit = MAX_PAYLOAD if self._kind in self._pieces else MAX_CONTROL
        if self._kind not in FROM_GUEST or self._left > limit:
            raise errors.GuestProtocolError(
                f"the guest sent a bad frame: type {self._kind:#04x}, {self._left} bytes"
            )
        self._empty += not self._left
        if self._empty > MAX_EMPTY:
            raise errors.GuestProtocolError(f"the guest sent more than {MAX_EMPTY} empty frames")


def exit_status(payload: bytes) -> int:
    """How a program ended, as a shell shows it: 0 to 255, or 128 + signal.

    Raises:
        errors.GuestProtocolError: the payload of EXIT has not the right form.
    """
    value = _object(payload)
    status, number = value.get("status"), value.get("signal")
    if type(number) is int and 0 < number < 128:
        return 128 + number
    if type(status) is int:
        return status & 0xFF
    raise errors.GuestProtocolError("the guest sent an exit without a status")


def error(payload: bytes) -> errors.GuestCallFailed:
    """The error in an ERROR frame; ``details['agent_code']`` is the agent's word.

    Raises:
        errors.GuestProtocolError: the payload is no JSON object.
    """
    value = _object(payload)
    code, message = str(value.get("code"))[:100], str(value.get("message"))[:4096]
    return errors.GuestCallFailed(message, details={"agent_code": code})


def _object(payload: bytes) -> dict[str, Any]:
    try:
        value = json.loads(payload)
    except (ValueError, RecursionError) as exc:
        raise errors.GuestProtocolError("the guest sent a frame that is not JSON") from exc
    if not isinstance(value, dict):
        raise errors.GuestProtocolError("the guest sent a frame that is no object")
    return value
