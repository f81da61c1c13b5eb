"""A listening socket: whom it accepts, whom it refuses with a reason, and a pause."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gaovm import errors
from gaovm.aio import descriptors, sockets
from gaovm.ipc import connection, server
from gaovm.testing import connections
from gaovm.wire import anyjson


async def answer(method: str, params: anyjson.Object, context: connection.Request) -> str:
    return "here"


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[server.Server]:
    listener = sockets.bind_unix(tmp_path / "sock")
    made = await server.serve_unix(listener, [connections.service(answer)])
    yield made
    await made.aclose()


async def client(path: Path) -> connection.Connection:
    sock = socket.socket(socket.AF_UNIX)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, str(path))
    return await connection.connect(sock, connections.service(), first=True)


async def test_a_client_too_many_hears_why(
    served: server.Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 1)
    first = await client(tmp_path / "sock")
    with pytest.raises(errors.GaoError, match="1 clients are connected"):
        await client(tmp_path / "sock")
    assert await first.call("ping") == "here"
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 2)
    second = await client(tmp_path / "sock")
    assert served.accepted == 2
    for each in (first, second):
        await each.aclose()


async def test_scarce_descriptors_are_a_reason_too(
    served: server.Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(descriptors, "scarce", lambda: True)
    with pytest.raises(errors.GaoError, match="descriptors that the daemon may open are left"):
        await client(tmp_path / "sock")


async def test_only_some_refused_clients_may_wait_for_the_reason(
    served: server.Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 0)
    monkeypatch.setattr(server, "_HEARD", 1)
    monkeypatch.setattr(server, "_REFUSAL_S", 0.05)
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_UNIX) as mute, socket.socket(socket.AF_UNIX) as other:
        for each in (mute, other):
            each.setblocking(False)
            await loop.sock_connect(each, str(tmp_path / "sock"))
        # the second is closed at once; the first, which says nothing, a moment later
        for each in (other, mute):
            assert await loop.sock_recv(each, 1) == b""


async def test_a_pause_makes_new_clients_wait(served: server.Server, tmp_path: Path) -> None:
    served.pause()
    waiting = asyncio.ensure_future(client(tmp_path / "sock"))
    for _ in range(5):
        await asyncio.sleep(0)
    assert served.accepted == 0
    await served.go_on()
    made = await waiting
    assert await made.call("ping") == "here"
    await made.aclose()
