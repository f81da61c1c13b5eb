"""Received data that nobody has handled yet: one budget for all clients, one time limit a frame."""

from __future__ import annotations

import asyncio
import socket
import struct
from pathlib import Path
from typing import Any

import pytest

from gaovm import errors
from gaovm.aio import sockets
from gaovm.ipc import connection, frames, inflow, jsonrpc, server
from gaovm.testing import connections
from gaovm.wire import anyjson

LENGTH = struct.Struct(">I")
#: So long that only what never comes exceeds it, however busy the machine is.
LIMIT_S = 60


class Holder:
    def __init__(self) -> None:
        self.ended = 0

    def overrun(self) -> None:
        self.ended += 1


def test_the_largest_holder_is_ended_and_no_other() -> None:
    budget = inflow.Budget(100)
    small, large, larger = Holder(), Holder(), Holder()
    budget.hold(small, 10)
    budget.hold(large, 40)
    budget.hold(larger, 45)
    assert budget.used_bytes == 95
    budget.hold(small, 30)
    assert [each.ended for each in (small, large, larger)] == [0, 0, 1]
    assert budget.used_bytes == 70
    budget.hold(small, 0)
    budget.hold(large, 0)
    assert budget.used_bytes == 0


async def until(condition: Any) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not condition():
            await asyncio.sleep(0.001)


async def served(path: Path, limit_bytes: int, **options: Any) -> server.Server:
    running = await server.serve_unix(
        sockets.bind_unix(path), [connections.service(**options)], name="server"
    )
    running.budget.limit_bytes = limit_bytes
    return running


def client(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(str(path))
    sock.setblocking(False)
    return sock


async def test_half_frames_of_many_clients_share_one_budget(tmp_path: Path) -> None:
    running = await served(tmp_path / "s", 1 << 20)
    half = LENGTH.pack(400 << 10) + b"x" * (300 << 10)
    socks = [client(tmp_path / "s") for _ in range(3)]
    loop = asyncio.get_running_loop()
    for sock in socks:
        await loop.sock_sendall(sock, half)
    await until(lambda: running.budget.used_bytes == 3 * len(half))
    last = client(tmp_path / "s")
    await loop.sock_sendall(last, half)
    await until(lambda: len(running.connections) == 3)
    assert running.budget.used_bytes == 3 * len(half)
    for sock in (*socks, last):
        sock.close()
    await until(lambda: running.budget.used_bytes == 0)
    await running.aclose()


async def test_calls_under_way_count_until_they_end(tmp_path: Path) -> None:
    going_on = asyncio.Event()

    async def slow(method: str, params: anyjson.Object, context: connection.Request) -> Any:
        await going_on.wait()

    running = await server.serve_unix(
        sockets.bind_unix(tmp_path / "s"), [connections.service(slow, "slow")], name="server"
    )
    link = await connection.connect(
        client(tmp_path / "s"), connections.service(slow, "slow"), first=True
    )
    call = asyncio.create_task(link.call("slow", {"text": "x" * 1000}))
    await until(lambda: running.budget.used_bytes > 1000)
    going_on.set()
    assert await call is None
    assert running.budget.used_bytes == 0
    await link.aclose()
    await running.aclose()


async def test_a_frame_that_is_not_complete_in_time_ends_its_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(inflow, "FRAME_LIMIT_S", 0.05)
    running = await served(tmp_path / "s", 1 << 20)
    sock = client(tmp_path / "s")
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(sock, LENGTH.pack(100) + b"{")
    async with asyncio.timeout(4):  # the handshake's own limit is 5 s
        assert await loop.sock_recv(sock, 1) == b""
    sock.close()
    assert "a frame was not whole within 0.05 s" in caplog.text
    await running.aclose()


async def test_a_frame_with_too_many_values_is_refused_before_decoding() -> None:
    body = b"[" + b"[]," * frames.MAX_VALUES + b"[]]"
    async with connections.pair(connections.service(), connections.service()) as (first, second):
        first.send_encoded(frames.frame(body))
        await second.wait_closed()
        assert isinstance(second.error, errors.FrameError)
        assert "values; expected at most 50000" in str(second.error)


async def test_a_large_text_counts_as_one_value() -> None:
    async def echo(method: str, params: anyjson.Object, context: connection.Request) -> Any:
        return len(params["text"])

    own = connections.service(echo, "echo")
    async with connections.pair(own, own) as (first, _):
        assert await first.call("echo", {"text": "x" * (15 << 20)}) == 15 << 20
        answer = jsonrpc.result(5, [1] * 60_000)
        with pytest.raises(errors.FrameError):
            frames.check_values(frames.encode_json(answer))


async def test_a_client_accepts_as_many_values_as_its_server_sends() -> None:
    async def many(method: str, params: anyjson.Object, context: connection.Request) -> Any:
        return [1] * (2 * frames.MAX_VALUES)

    own = connections.service(many, "many")
    async with connections.pair(own, own) as (first, _):
        assert len(await first.call("many")) == 2 * frames.MAX_VALUES
