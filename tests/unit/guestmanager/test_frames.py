"""Frames of agent streams."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaovm import errors
from gaovm.guestmanager import frames

KINDS = sorted(frames.FROM_GUEST)


@given(
    st.lists(st.tuples(st.sampled_from(KINDS), st.binary(max_size=200)), max_size=10),
    st.integers(1, 50),
)
def test_any_chunking_gives_the_same_content(content: list[tuple[int, bytes]], size: int) -> None:
    data = b"".join(frames.encode(kind, payload) for kind, payload in content)
    decoder = frames.Decoder()
    found = []
    for at in range(0, len(data), size):
        found += decoder.feed(data[at : at + size])
    assert _joined(found) == _joined(content)


def _joined(content: Iterable[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    """Neighbouring pieces of output as one, and no empty ones: what a reader sees."""
    joined: list[tuple[int, bytes]] = []
    for kind, payload in content:
        output = kind in (frames.OUTPUT, frames.STDERR)
        if output and joined and joined[-1][0] == kind:
            joined[-1] = (kind, joined[-1][1] + payload)
        elif payload or not output:
            joined.append((kind, payload))
    return joined


def test_output_is_not_gathered_and_small_pieces_are_one() -> None:
    decoder = frames.Decoder()
    begun = frames.encode(frames.OUTPUT, bytes(frames.MAX_PAYLOAD))[:1000]
    assert [len(frame.payload) for frame in decoder.feed(begun)] == [1000 - frames.HEADER.size]
    small = frames.encode(frames.OUTPUT, b"ab") * 5000
    assert frames.Decoder().feed(small) == [frames.Frame(frames.OUTPUT, b"ab" * 5000)]


def test_empty_frames_without_end_are_refused() -> None:
    empty = frames.encode(frames.OUTPUT)
    decoder = frames.Decoder()
    assert decoder.feed(empty * frames.MAX_EMPTY) == []
    with pytest.raises(errors.GuestProtocolError, match="empty"):
        decoder.feed(empty)


@pytest.mark.parametrize(
    "head", [b"\x99\0\0\0\0", b"\x12\0\x10\0\x01", b"\x14\0\x01\0\x01", b"\x01\0\0\0\0"]
)
def test_a_bad_head_is_refused_before_its_payload_comes(head: bytes) -> None:
    with pytest.raises(errors.GuestProtocolError):
        frames.Decoder().feed(head)


def test_our_own_frames_are_bounded_too() -> None:
    with pytest.raises(errors.InvalidParams):
        frames.encode(frames.DATA, bytes(frames.MAX_PAYLOAD + 1))
