"""The first lines, in any chunks and with any stale bytes between them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaovm import errors
from gaovm.guestmanager.transport.handshake import MAX_GARBAGE, Handshake, parse_hello

OURS, THEIRS = "0f" * 16, "a1" * 16
LINE = f'GAOVM-AGENT/1 {THEIRS} {{"version":"1","boot_ms":12.5,"exec_to_ready_ms":3,"pid":7}}\n'
GO = f"GAOVM-GO/1 {OURS}\n".encode()


def talk(chunks: list[bytes]) -> tuple[Handshake, bytes]:
    shake = Handshake(OURS)
    sent = b"".join(shake.feed(chunk) for chunk in chunks if not shake.done)
    return shake, sent


def test_a_clean_handshake() -> None:
    shake, sent = talk([LINE.encode(), GO + b"PRI"])
    assert sent == f"GAOVM-HOST/1 {THEIRS} {OURS}\n".encode()
    assert shake.done
    assert shake.rest == b"PRI"
    assert shake.hello is not None
    assert (shake.hello.version, shake.hello.boot_ms, shake.hello.pid) == ("1", 12.5, 7)


@given(st.binary(max_size=300), st.lists(st.integers(1, 60), max_size=20))
def test_stale_bytes_and_chunking_change_nothing(stale: bytes, cuts: list[int]) -> None:
    data = stale + b"\n" + LINE.encode()
    chunks, at = [], 0
    for cut in cuts:
        chunks.append(data[at : at + cut])
        at += cut
    shake, sent = talk([*chunks, data[at:], GO])
    assert sent.endswith(f"GAOVM-HOST/1 {THEIRS} {OURS}\n".encode())
    assert shake.done


def test_stale_bytes_on_the_same_line() -> None:
    shake, sent = talk([b"\x00\x00\x10half a frame" + LINE.encode(), b"stale" + GO])
    assert sent
    assert shake.done


def test_a_go_with_another_nonce_is_stale() -> None:
    shake, _ = talk([LINE.encode(), b"GAOVM-GO/1 " + b"00" * 16 + b"\n"])
    assert not shake.done


def test_an_agent_that_restarts_is_answered_again() -> None:
    second = LINE.replace(THEIRS, "b2" * 16).encode()
    shake, sent = talk([LINE.encode(), second, GO])
    assert sent.count(b"GAOVM-HOST/1") == 2
    assert sent.endswith(b"b2" * 16 + b" " + OURS.encode() + b"\n")
    assert shake.done


def test_garbage_is_bounded() -> None:
    shake = Handshake(OURS)
    with pytest.raises(errors.GuestProtocolError, match="without a valid first line"):
        for _ in range(MAX_GARBAGE // 65536 + 2):
            shake.feed(bytes(65536))
    shake.feed(LINE.encode())
    assert shake.hello is not None, "the host did not read the agent's line after the garbage"


@pytest.mark.parametrize(
    "line",
    [
        b"GAOVM-AGENT/1 " + b"zz" * 16 + b" {}",
        b"GAOVM-AGENT/1 " + b"ab" * 16,
        b"GAOVM-AGENT/1 " + b"ab" * 16 + b' {"pid":"x"}',
        b"GAOVM-AGENT/1 " + b"ab" * 16 + b' {"version":"' + b"x" * 4096 + b'"}',
        b"GAOVM-AGENT/2 " + b"ab" * 16 + b" {}",
    ],
)
def test_a_malformed_line_is_no_hello(line: bytes) -> None:
    assert parse_hello(line) is None
