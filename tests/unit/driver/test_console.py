"""The serial console: which texts end a boot, and which distinguish a panic from a reboot."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from gaovm.driver.console import Console
from gaovm.driver.logs import StampedLog


@pytest.mark.parametrize("trusted", [False, True])
async def test_the_console_reports_a_panic_until_the_agent_answers(
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
    await asyncio.wait_for(console.ended, 60)
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
async def test_the_last_lines_tell_a_panic_from_a_reset(
    tmp_path: Path, text: bytes, panicked: bool
) -> None:
    ours, theirs = socket.socketpair()
    console = Console(StampedLog(tmp_path / "serial.log"), lambda: None)
    await console.attach(ours)
    theirs.sendall(text)
    theirs.close()
    await asyncio.wait_for(console.ended, 60)
    console.close()
    assert console.panicked is panicked
