"""Frames: a 4-byte big-endian length, then one UTF-8 JSON object of that many bytes.

Pure: bytes in, frames out. The work is linear in the number of bytes, for one large frame in many
pieces and for many small frames in one piece. A frame that breaks a rule raises ``FrameError``. The
receiver then closes the connection without a reply, because it cannot trust the following bytes.
"""

from __future__ import annotations

import json
import struct

from gaovm import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from gaovm.wire import anyjson

HEADER_BYTES = 4
MAX_FRAME_BYTES = 16 << 20
# Decoding costs time and memory per value: 16 MiB of empty lists take seconds and 600 MB, this many
# values take 15 ms. The largest requests have some thousands of values; answers may have more.
MAX_VALUES = 50_000

_HEADER = struct.Struct(">I")
_DUMPS = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


class FrameDecoder:
    """Split a byte stream into frames of at most ``max_size`` bytes (may change between frames)."""

    __slots__ = ("_buffer", "_start", "max_size")

    def __init__(self, max_size: int = MAX_FRAME_BYTES) -> None:
        self.max_size = max_size
        self._buffer = bytearray()
        self._start = 0

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Take more bytes of the stream."""
        if self._start:
            # this moves at most a partial frame, once the caller has taken the frames before it
            del self._buffer[: self._start]
            self._start = 0
        self._buffer += data

    def next_frame(self) -> bytes | None:
        """Return the next whole frame without its length, or None when it needs more bytes.

        Raises:
            errors.FrameError: the length is zero or too large (checked before the body arrives).
        """
        start = self._start + HEADER_BYTES
        buffer = self._buffer
        if len(buffer) < start:
            return None
        (length,) = _HEADER.unpack_from(buffer, self._start)
        if not 0 < length <= self.max_size:
            raise errors.FrameError(_length_problem(length, self.max_size))
        end = start + length
        if len(buffer) < end:
            return None
        self._start = end
        with memoryview(buffer) as view:
            return bytes(view[start:end])

    @property
    def pending(self) -> int:
        """The number of bytes that were fed and not taken."""
        return len(self._buffer) - self._start

    def unread(self) -> bytes:
        """Return the bytes that were fed and not taken: another decoder must begin with them."""
        with memoryview(self._buffer) as view:
            return bytes(view[self._start :])

    def eof(self) -> None:
        """Note the end of the stream.

        Raises:
            errors.FrameError: the stream ends inside a frame.
        """
        if self.pending:
            raise errors.FrameError(f"Incomplete frame: {self.pending} bytes remaining.")


def check_values(body: bytes) -> None:
    """Check that a frame has few enough values to decode it; this takes 1 ms per MiB.

    The function counts separators, also inside texts: it refuses a text with too many of them.

    Raises:
        errors.FrameError: the frame holds more than ``MAX_VALUES``.
    """
    if len(body) <= MAX_VALUES:
        return
    parts = len(body) - len(body.translate(None, b",[{"))
    if parts > MAX_VALUES:
        raise errors.FrameError(f"Frame has {parts} values; expected at most {MAX_VALUES}.")


def _length_problem(length: int, max_size: int) -> str:
    if length == 0:
        return "Zero-length frame is not allowed."
    return f"Frame length {length} exceeds maxFrameSize {max_size}."


def decode_json(body: bytes) -> Any:
    """Return the JSON value of a frame.

    Raises:
        errors.FrameError: the frame is not UTF-8, not JSON (NaN is not), or nested too deeply.
    """
    try:
        return json.loads(body.decode(), parse_constant=_refuse_constant)
    except UnicodeDecodeError as exc:
        raise errors.FrameError("Frame is not valid UTF-8.") from exc
    except (ValueError, RecursionError) as exc:
        raise errors.FrameError(f"Frame is not valid JSON: {exc}") from exc


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def check_object(value: Any) -> anyjson.Object:
    """Return the value if it is an object.

    Raises:
        errors.FrameError: the value is a batch or a scalar.
    """
    if type(value) is dict:
        return value
    if type(value) is list:
        raise errors.FrameError("JSON-RPC batch requests are not supported.")
    raise errors.FrameError("Top-level JSON value must be an object.")


def decode(body: bytes) -> anyjson.Object:
    """Return the object in a frame.

    Raises:
        errors.FrameError: as ``decode_json`` and ``check_object``.
    """
    return check_object(decode_json(body))


def encode_json(value: Any) -> bytes:
    """Return compact UTF-8 JSON, keys in the given order.

    Raises:
        TypeError, ValueError: our own value is not JSON, or has a text that is not UTF-8 (such as a
            file name with invalid bytes).
    """
    return _DUMPS(value).encode()


def frame(body: bytes) -> bytes:
    """Return ``body`` with its length in front.

    Raises:
        errors.FrameError: the body is larger than any peer may accept.
    """
    if not 0 < len(body) <= MAX_FRAME_BYTES:
        raise errors.FrameError(_length_problem(len(body), MAX_FRAME_BYTES))
    return _HEADER.pack(len(body)) + body


def encode(message: anyjson.Object) -> bytes:
    """Return one message as a frame.

    Raises:
        errors.FrameError: the message is larger than 16 MiB.
    """
    return frame(encode_json(message))
