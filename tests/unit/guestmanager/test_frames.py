"""Frames of agent streams."""

from __future__ import annotations

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
def test_any_chunking_gives_the_same_frames(content: list[tuple[int, bytes]], size: int) -> None:
    data = b"".join(frames.encode(kind, payload) for kind, payload in content)
    decoder = frames.Decoder()
    found = []
    for at in range(0, len(data), size):
        found += decoder.feed(data[at : at + size])
    assert [tuple(frame) for frame in found] == content


@pytest.mark.parametrize("head", [b"\x99\0\0\0\0", b"\x12\0\x10\0\x01", b"\x01\0\0\0\0"])
def test_a_bad_head_is_refused_before_its_payload_comes(head: bytes) -> None:
    with pytest.raises(errors.GuestProtocolError):
        frames.Decoder().feed(head)


def test_our_own_frames_are_bounded_too() -> None:
    with pytest.raises(errors.InvalidParams):
        frames.encode(frames.DATA, bytes(frames.MAX_PAYLOAD + 1))
