"""What a window's process reports of its end."""

from __future__ import annotations

import json
import socket

import pytest

from gaovm.driver.display import window


@pytest.mark.parametrize(
    ("told", "reason"),
    [(("ended", "closed"), "vm"), (("closed", "ended"), "user"), ((), "crashed")],
)
async def test_the_first_report_of_its_end_gives_the_reason(
    told: tuple[str, ...], reason: str
) -> None:
    """The desktop closes the window of a process that quits because the VM has ended."""
    ends: list[str] = []
    ours, theirs = socket.socketpair()
    with theirs:
        shown = window.Window(ours, lambda _: None, lambda why, was_open: ends.append(why))
        for kind in told:
            shown._take(json.dumps({"is": kind}).encode() + b"\n")
        shown._finish()
    assert ends == [reason]
