"""Binding Unix sockets in one step, and passing descriptors."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest

from gaovm import errors
from gaovm.aio import sockets


def test_a_stale_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "x.sock"
    sockets.bind_unix(path).close()
    assert path.exists()
    with sockets.bind_unix(path) as listener, socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        assert path.stat().st_mode & 0o777 == 0o600
        assert not listener.getblocking()
        assert not os.get_inheritable(listener.fileno())
    assert os.listdir(tmp_path) == ["x.sock"]


def test_a_long_path_is_a_typed_error(tmp_path: Path) -> None:
    with pytest.raises(errors.HostError, match="107 bytes"):
        sockets.bind_unix(tmp_path / ("x" * 107))
    with pytest.raises(errors.HostError, match="cannot listen"):
        sockets.bind_unix(tmp_path / "no" / "x")


async def test_readable() -> None:
    left, right = socket.socketpair()
    with left, right:
        waiter = asyncio.create_task(sockets.readable(left.fileno()))
        await asyncio.sleep(0)
        assert not waiter.done()
        right.send(b"x")
        await asyncio.wait_for(waiter, 60)
