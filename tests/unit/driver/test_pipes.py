"""Tails and bounded logs."""

from __future__ import annotations

import asyncio
import re
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaovm.driver.console import Console
from gaovm.driver.logs import StampedLog
from gaovm.vmmanager.pipes import LastWords, Tail


def test_a_tail_keeps_the_last_lines_without_escapes() -> None:
    tail = Tail(100)
    tail.add(b"x" * 1000 + b"\r\n\x1b[1;31mred\x1b[0m\r\n\r\nlast")
    assert tail.lines(2) == ["red", "last"]
    assert len(tail.lines(10)[0]) < 100


@given(st.lists(st.integers(1, 30), min_size=1, max_size=20))
def test_a_pattern_is_found_however_it_is_cut(cuts: list[int]) -> None:
    data = b"boot " * 5 + b"Kernel panic - not syncing: no root\n"
    tail, at, found = Tail(), 0, False
    for cut in [*cuts, len(data)]:
        part = data[at : at + cut]
        at += cut
        tail.add(part)
        found = found or tail.find(re.compile(b"Kernel panic - not syncing"), len(part))
    assert found


async def test_last_words_are_whole_lines_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    ours, theirs = socket.socketpair()
    words = LastWords("qemu")
    await words.attach(ours)
    for part in (b"one\ntw", b"o\r\n\n", b"\x1b[31mth", b"ree"):
        theirs.sendall(part)
        await asyncio.sleep(0)
    theirs.close()
    await asyncio.wait_for(words.ended, 1)
    assert [(r.name, r.getMessage()) for r in caplog.records] == [
        ("gaovm.qemu", "one"),
        ("gaovm.qemu", "two"),
        ("gaovm.qemu", "\x1b[31mthree"),
    ]


@pytest.mark.parametrize("trusted", [False, True])
async def test_the_console_tells_a_panic_until_the_agent_answered(
    tmp_path: Path, trusted: bool
) -> None:
    told: list[bool] = []
    ours, theirs = socket.socketpair()
    console = Console(StampedLog(tmp_path / "serial.log"), lambda: told.append(True))
    await console.attach(ours)
    assert not console.panicked
    if trusted:
        console.booting = False
    theirs.sendall(b"gaovm-agent: fatal: no root\n" * 2)
    theirs.close()
    await asyncio.wait_for(console.ended, 1)
    console.close()
    assert told == ([] if trusted else [True])
    assert (tmp_path / "serial.log").read_bytes().count(b"fatal") == 2


@pytest.mark.parametrize(
    ("text", "panicked"),
    [
        (b"login: \r\n", False),
        (b"[1.0] Kernel panic - not syncing: sysrq\r\n[1.1] Kernel Offset: disabled\r\n", True),
        (b"Kernel panic - not syncing: old\r\n[9.0] reboot: Restarting system\r\n", False),
        (b"[9.0] reboot: Restarting system\r\n[1.0] Kernel panic - not syncing: new\r\n", True),
    ],
)
async def test_a_reset_is_a_panic_by_the_last_words(
    tmp_path: Path, text: bytes, panicked: bool
) -> None:
    ours, theirs = socket.socketpair()
    console = Console(StampedLog(tmp_path / "serial.log"), lambda: None)
    await console.attach(ours)
    theirs.sendall(text)
    theirs.close()
    await asyncio.wait_for(console.ended, 1)
    console.close()
    assert console.panicked is panicked
