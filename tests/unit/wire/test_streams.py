"""Frames of a stream: what a guest may send, however it is split."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaovm import errors
from gaovm.wire import streams

KINDS = sorted(streams.FROM_GUEST)


@given(
    st.lists(st.tuples(st.sampled_from(KINDS), st.binary(max_size=200)), max_size=10),
    st.integers(1, 50),
)
def test_any_chunking_gives_the_same_content(content: list[tuple[int, bytes]], size: int) -> None:
    data = b"".join(streams.encode(kind, payload) for kind, payload in content)
    decoder = streams.Decoder()
    found: list[tuple[int, bytes]] = []
    for at in range(0, len(data), size):
        found += decoder.feed(data[at : at + size])
    assert _joined(found) == _joined(content)


def _joined(content: Iterable[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    """Join neighbouring pieces of output and drop empty ones, as a reader sees them."""
    joined: list[tuple[int, bytes]] = []
    for kind, payload in content:
        output = kind in (streams.OUTPUT, streams.STDERR)
        if output and joined and joined[-1][0] == kind:
            joined[-1] = (kind, joined[-1][1] + payload)
        elif payload or not output:
            joined.append((kind, payload))
    return joined


def test_output_is_passed_on_at_once_and_small_pieces_are_joined() -> None:
    decoder = streams.Decoder()
    begun = streams.encode(streams.OUTPUT, bytes(streams.MAX_PAYLOAD))[:1000]
    assert [len(payload) for _, payload in decoder.feed(begun)] == [1000 - streams.HEADER.size]
    small = streams.encode(streams.OUTPUT, b"ab") * 5000
    assert list(streams.Decoder().feed(small)) == [(streams.OUTPUT, b"ab" * 5000)]


def test_data_before_a_bad_frame_is_returned_first() -> None:
    frames = streams.Decoder().feed(streams.encode(streams.OUTPUT, b"last words") + b"x" * 5)
    assert next(frames) == (streams.OUTPUT, b"last words")
    with pytest.raises(errors.GuestProtocolError):
        next(frames)


def test_endless_empty_frames_are_refused() -> None:
    empty = streams.encode(streams.OUTPUT)
    decoder = streams.Decoder()
    assert list(decoder.feed(empty * streams.MAX_EMPTY)) == []
    with pytest.raises(errors.GuestProtocolError, match="empty"):
        list(decoder.feed(empty))


@pytest.mark.parametrize(
    "head",
    [
        b"\xff\0\0\0\0",
        b"\0\0\0\0\0",
        b"\x99\0\0\0\0",
        b"\x12\0\x10\0\x01",
        b"\x14\0\x01\0\x01",
        b"\x01\0\0\0\0",
    ],
)
def test_a_bad_header_is_refused_before_its_payload_comes(head: bytes) -> None:
    with pytest.raises(errors.GuestProtocolError):
        list(streams.Decoder().feed(head))


def test_our_own_frames_are_limited_too() -> None:
    with pytest.raises(errors.InvalidParams):
        streams.encode(streams.DATA, bytes(streams.MAX_PAYLOAD + 1))


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
    assert streams.exit_status(payload) == status


@pytest.mark.parametrize(
    "payload",
    [b"", b"x", b"[]", b"{}", b'{"status":"0"}', b'{"signal":0}', b'{"status":true}', b"[" * 9999],
)
def test_an_exit_without_a_status(payload: bytes) -> None:
    with pytest.raises(errors.GuestProtocolError):
        streams.exit_status(payload)


def test_errors_carry_the_agents_code() -> None:
    error = streams.error(b'{"code":"not-found","message":"no such file"}')
    assert (str(error), error.details) == ("no such file", {"agent_code": "not-found"})


def test_arguments_that_cannot_be_sent_are_refused() -> None:
    with pytest.raises(errors.InvalidParams, match="UTF-8"):
        streams.encode_json(streams.START, {"argv": ["\udcff"]})
    with pytest.raises(errors.InvalidParams, match="1 MiB"):
        streams.encode_json(streams.START, {"argv": ["x" * (1 << 20)]})
