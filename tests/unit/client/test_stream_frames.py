"""Frames of a stream: what a guest may say, however it is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaovm import errors
from gaovm.client import stream_frames

KINDS = st.sampled_from([0x11, 0x12, 0x13, 0x14, 0x15, 0x16])


@given(st.lists(st.tuples(KINDS, st.binary(max_size=50))), st.data())
def test_any_cutting_gives_the_same_frames(
    frames: list[tuple[int, bytes]], data: st.DataObject
) -> None:
    stream = b"".join(stream_frames.encode(kind, payload) for kind, payload in frames)
    decoder = stream_frames.Decoder()
    found = []
    while stream:
        size = data.draw(st.integers(1, 60))
        decoder.feed(stream[:size])
        stream = stream[size:]
        while (frame := decoder.next()) is not None:
            found.append(frame)
    assert found == frames


@pytest.mark.parametrize(
    "data", [b"\x01\0\0\0\0", b"\0\0\0\0\0", b"\xff\0\0\0\0", b"\x12\0\x10\0\x01"]
)
def test_a_bad_frame_is_the_guests_fault(data: bytes) -> None:
    decoder = stream_frames.Decoder()
    decoder.feed(data)
    with pytest.raises(errors.GuestProtocolError):
        decoder.next()


@pytest.mark.parametrize(
    ("payload", "status"),
    [
        (b'{"status":0}', 0),
        (b'{"status":255}', 255),
        (b'{"status":256}', 0),
        (b'{"status":-1}', 255),
        (b'{"signal":9}', 137),
        (b'{"signal":64}', 192),
    ],
)
def test_exit_statuses(payload: bytes, status: int) -> None:
    assert stream_frames.exit_status(payload) == status


@pytest.mark.parametrize(
    "payload",
    [b"", b"x", b"[]", b"{}", b'{"status":"0"}', b'{"signal":0}', b'{"status":true}', b"[" * 9999],
)
def test_an_exit_without_a_status(payload: bytes) -> None:
    with pytest.raises(errors.GuestProtocolError):
        stream_frames.exit_status(payload)


def test_errors_carry_the_agents_word() -> None:
    error = stream_frames.error(b'{"code":"not-found","message":"no such file"}')
    assert (str(error), error.details) == ("no such file", {"agent_code": "not-found"})


def test_arguments_that_do_not_fit_are_refused() -> None:
    with pytest.raises(errors.InvalidParams, match="UTF-8"):
        stream_frames.encode_json(stream_frames.START, {"argv": ["\udcff"]})
    with pytest.raises(errors.InvalidParams, match="1 MiB"):
        stream_frames.encode_json(stream_frames.START, {"argv": ["x" * (1 << 20)]})
