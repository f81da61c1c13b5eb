"""Frames follow every rule of the wire, however the bytes are split."""

from __future__ import annotations

import json
import struct
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaovm import errors
from gaovm.ipc import frames
from gaovm.wire import anyjson

VECTORS = json.loads(
    (Path(__file__).parents[2] / "data" / "gaovm" / "v1.2-vectors.json").read_text()
)


def decode_all(decoder: frames.FrameDecoder) -> list[anyjson.Object]:
    found = []
    while (body := decoder.next_frame()) is not None:
        found.append(frames.decode(body))
    return found


@pytest.mark.parametrize("vector", VECTORS["frames"], ids=lambda v: v["name"])
def test_good_frames_are_exact(vector: anyjson.Object) -> None:
    data = bytes.fromhex(vector["frame_hex"])
    assert frames.encode(vector["message"]) == data
    decoder = frames.FrameDecoder()
    decoder.feed(data)
    assert decode_all(decoder) == [vector["message"]]
    decoder.eof()


@pytest.mark.parametrize("vector", VECTORS["bad_frames"], ids=lambda v: v["name"])
def test_bad_frames_are_refused_with_the_right_text(vector: anyjson.Object) -> None:
    decoder = frames.FrameDecoder()
    decoder.feed(bytes.fromhex(vector["hex"]))
    with pytest.raises(errors.FrameError) as caught:
        decode_all(decoder)
        decoder.eof()
    assert vector["error"].startswith(str(caught.value))


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\0\0\0\0", "Zero-length frame is not allowed."),
        (b"\xff\xff\xff\xff", "Frame length 4294967295 exceeds maxFrameSize 16777216."),
        (b"\0\0\0\x011", "Top-level JSON value must be an object."),
        (b"\0\0\0\x04null", "Top-level JSON value must be an object."),
        (b'\0\0\0\x02""', "Top-level JSON value must be an object."),
        (b"\0\0\0\x02[]", "JSON-RPC batch requests are not supported."),
        (b"\0\0\0\x02{\xff", "Frame is not valid UTF-8."),
        (b"\0\0\0\x02{{", "Frame is not valid JSON"),
        (b'\0\0\0\x09{"a":NaN}', "Frame is not valid JSON"),
        (b"\0\1\0\0" + b"[" * 65536, "Frame is not valid JSON"),
    ],
)
def test_every_malformed_frame_has_its_reason(data: bytes, text: str) -> None:
    decoder = frames.FrameDecoder()
    decoder.feed(data)
    with pytest.raises(errors.FrameError) as caught:
        decode_all(decoder)
    assert str(caught.value).startswith(text)


def test_the_largest_frame_passes_and_the_limit_can_change() -> None:
    decoder = frames.FrameDecoder(65536)
    body = b'{"a":"' + b"x" * (65536 - 8) + b'"}'
    decoder.feed(frames.frame(body))
    assert decoder.next_frame() == body
    decoder.feed(struct.pack(">I", len(body) + 1))
    with pytest.raises(errors.FrameError, match="65537 exceeds maxFrameSize 65536"):
        decoder.next_frame()
    decoder.max_size = frames.MAX_FRAME_BYTES
    assert decoder.next_frame() is None
    assert decoder.pending == 4


@pytest.mark.parametrize("rest", [b"\0", b"\0\0\0", b"\0\0\0\x05{"])
def test_the_end_inside_a_frame(rest: bytes) -> None:
    decoder = frames.FrameDecoder()
    decoder.feed(rest)
    assert decoder.next_frame() is None
    with pytest.raises(errors.FrameError, match=rf"Incomplete frame: {len(rest)} bytes remaining."):
        decoder.eof()


def test_a_message_that_is_too_large_or_not_json_cannot_be_sent() -> None:
    with pytest.raises(errors.FrameError, match="exceeds"):
        frames.frame(b"x" * (frames.MAX_FRAME_BYTES + 1))
    for value in ({"a": float("nan")}, {"a": object()}, {"a": "\udcff"}):
        with pytest.raises((TypeError, ValueError)):
            frames.encode(value)


OBJECTS = st.dictionaries(
    st.text(max_size=8),
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.lists(st.integers()),
    max_size=4,
)


@given(st.lists(OBJECTS, max_size=6), st.data())
def test_any_splitting_gives_the_same_messages(messages: list[anyjson.Object], data: Any) -> None:
    stream = b"".join(frames.encode(message) for message in messages)
    decoder = frames.FrameDecoder()
    found = []
    position = 0
    while position < len(stream):
        size = data.draw(st.integers(1, 40))
        decoder.feed(stream[position : position + size])
        position += size
        if data.draw(st.booleans()):
            found += decode_all(decoder)
    found += decode_all(decoder)
    decoder.eof()
    assert found == messages


@given(st.binary(max_size=64))
def test_any_bytes_give_frames_or_a_frame_error(data: bytes) -> None:
    decoder = frames.FrameDecoder()
    decoder.feed(data)
    try:
        decode_all(decoder)
        decoder.eof()
    except errors.FrameError:
        pass


def _seconds(work: Any) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def test_decoding_time_is_linear() -> None:
    small = frames.frame(b"{}")

    def many(count: int) -> None:
        decoder = frames.FrameDecoder()
        decoder.feed(small * count)
        while decoder.next_frame():
            pass

    def large(size: int) -> None:
        decoder = frames.FrameDecoder()
        data = frames.frame(b"x" * size)
        for start in range(0, len(data), 512):
            decoder.feed(data[start : start + 512])
            decoder.next_frame()

    many(100)
    # quadratic time would be 64 times as long
    assert _seconds(lambda: many(160_000)) < 24 * max(_seconds(lambda: many(20_000)), 0.005)
    assert _seconds(lambda: large(16 << 20)) < 24 * max(_seconds(lambda: large(2 << 20)), 0.005)


def test_the_error_shows_only_the_text_that_is_not_utf8() -> None:
    message = {"env": {"TOKEN": "secret"}, "argv": ["caf\udce9"], "more": "secret"}
    with pytest.raises(UnicodeEncodeError) as caught:
        frames.encode_json(message)
    told = errors.InvalidParams.not_utf8(caught.value).message
    assert told == "'caf\\udce9' is not UTF-8"
