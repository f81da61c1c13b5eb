"""The last lines of endless text, and the last words of a child process."""

from __future__ import annotations

import asyncio
import re
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaovm.vmmanager.pipes import LastWords, Tail


def test_a_tail_keeps_the_last_lines_without_escapes() -> None:
    tail = Tail(100)
    tail.add(b"x" * 1000 + b"\r\n\x1b[1;31mred\x1b[0m\r\n\r\nlast")
    assert tail.lines(2) == ["red", "last"]
    assert len(tail.lines(10)[0]) < 100


@given(st.lists(st.integers(1, 30), min_size=1, max_size=20))
def test_a_pattern_is_found_however_it_is_split(cuts: list[int]) -> None:
    data = b"boot " * 5 + b"Kernel panic - not syncing: no root\n"
    tail, at, found = Tail(), 0, False
    for cut in [*cuts, len(data)]:
        part = data[at : at + cut]
        at += cut
        tail.add(part)
        found = found or tail.find(re.compile(b"Kernel panic - not syncing"), len(part))
    assert found


async def test_last_words_are_whole_lines_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    ours, theirs = socket.socketpair()
    words = LastWords("qemu")
    await words.attach(ours)
    for part in (b"one\ntw", b"o\r\n\n", b"\x1b[31mth", b"ree"):
        theirs.sendall(part)
        await asyncio.sleep(0)
    theirs.close()
    await asyncio.wait_for(words.ended, 60)
    assert [(r.name, r.getMessage()) for r in caplog.records] == [
        ("gaovm.qemu", "one"),
        ("gaovm.qemu", "two"),
        ("gaovm.qemu", "\x1b[31mthree"),
    ]
