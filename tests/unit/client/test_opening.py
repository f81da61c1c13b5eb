"""A client's stream that opens in a thread: nobody who gives up leaves its socket open."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Mapping
from typing import Any

import pytest

from gaovm.client import async_client, session


@pytest.mark.parametrize("late", [True, False])
async def test_a_cancelled_caller_leaves_no_socket(
    late: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``late``: the caller is cancelled before the socket is open."""
    begun, go_on, done = threading.Event(), threading.Event(), threading.Event()
    ours, theirs = socket.socketpair()

    def open_stream(_: Mapping[str, Any], __: str) -> socket.socket:
        begun.set()
        go_on.wait(30)
        threading.Timer(0, done.set).start()
        return ours

    monkeypatch.setattr(session, "open_stream", open_stream)
    task = asyncio.create_task(async_client._open_stream({}, "exec"))
    await asyncio.sleep(0)
    assert begun.wait(30)  # not awaited: the loop must not take the thread's result yet
    if late:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        go_on.set()
    else:
        go_on.set()
        assert done.wait(30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    theirs.settimeout(30)
    with theirs:
        assert theirs.recv(1) == b""
    assert ours.fileno() == -1


async def test_a_caller_that_waits_gets_the_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair()
    monkeypatch.setattr(session, "open_stream", lambda *_: ours)
    with ours, theirs:
        assert await async_client._open_stream({}, "exec") is ours
        assert ours.fileno() != -1
