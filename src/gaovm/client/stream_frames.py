"""Frames of a session's stream: type (1 byte), length (4, big endian), payload up to 1 MiB.

Pure. The table of types is in ``docs/reference/agent-protocol.md`` part 4. What comes from
a guest is not trusted: a frame that breaks the rules is ``GuestProtocolError``.
"""

from __future__ import annotations

import json
import struct

from gaovm import errors
from gaovm.ipc import frames

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

START, DATA, EOF, SIGNAL, RESIZE = 0x01, 0x02, 0x03, 0x04, 0x05
STARTED, OUT, ERR, EXIT, ERROR, OUT_EOF = 0x11, 0x12, 0x13, 0x14, 0x15, 0x16

MAX_PAYLOAD = 1 << 20
# large enough that a stream is not cut into many frames, small enough to share the channel
CHUNK_BYTES = 256 << 10

_HEADER = struct.Struct(">BI")
_FROM_GUEST = frozenset((STARTED, OUT, ERR, EXIT, ERROR, OUT_EOF))


class Decoder:
    """Cuts what a guest sends into frames; linear in the bytes fed."""

    __slots__ = ("_buffer", "_start")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._start = 0

    def feed(self, data: bytes) -> None:
        """Take more bytes."""
        if self._start:
            del self._buffer[: self._start]
            self._start = 0
        self._buffer += data

    def next(self) -> tuple[int, bytes] | None:
        """The next whole frame, or None when more bytes are needed.

        Raises:
            errors.GuestProtocolError: an unknown type, or a payload over 1 MiB.
        """
        start = self._start + _HEADER.size
        if len(self._buffer) < start:
            return None
        kind, length = _HEADER.unpack_from(self._buffer, self._start)
        if kind not in _FROM_GUEST or length > MAX_PAYLOAD:
            raise errors.GuestProtocolError(
                f"the guest sent a bad frame: type {kind:#04x}, {length} bytes"
            )
        end = start + length
        if len(self._buffer) < end:
            return None
        self._start = end
        with memoryview(self._buffer) as view:
            return kind, bytes(view[start:end])


def encode(kind: int, payload: bytes = b"") -> bytes:
    """One frame."""
    return _HEADER.pack(kind, len(payload)) + payload


def encode_json(kind: int, value: Mapping[str, Any]) -> bytes:
    """One frame whose payload is JSON.

    Raises:
        errors.InvalidParams: larger than a frame holds, or text that is not UTF-8.
    """
    try:
        payload = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError as exc:
        raise frames.not_utf8(exc) from exc
    if len(payload) > MAX_PAYLOAD:
        raise errors.InvalidParams(f"{len(payload)} bytes of arguments do not fit into 1 MiB")
    return encode(kind, payload)


def _object(payload: bytes) -> dict[str, Any]:
    try:
        value = json.loads(payload)
    except (ValueError, RecursionError) as exc:
        raise errors.GuestProtocolError("the guest sent a frame that is not JSON") from exc
    if not isinstance(value, dict):
        raise errors.GuestProtocolError("the guest sent a frame that is no object")
    return value


def exit_status(payload: bytes) -> int:
    """How a program ended, as a shell would say it: 0 to 255, or 128 + signal.

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
    """The error in an ERROR frame; ``details['agent_code']`` is the agent's word."""
    value = _object(payload)
    code, message = str(value.get("code"))[:100], str(value.get("message"))[:4096]
    return errors.GuestCallFailed(message, details={"agent_code": code})
