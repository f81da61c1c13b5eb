"""The asyncio client and server: concurrent calls, limits, heartbeats; each end is reported."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from pathlib import Path
from typing import Any

import pytest

from gaovm import errors
from gaovm.aio import sockets
from gaovm.ipc import (
    answering,
    connection,
    frames,
    hello,
    jsonrpc,
    methods,
    peer,
    server,
    transport,
)
from gaovm.testing import connections
from gaovm.wire import anyjson

#: So long that only what never comes exceeds it, however busy the machine is.
LIMIT_S = 60


async def handle(method: str, params: anyjson.Object, context: connection.Request) -> Any:
    if method == "echo":
        return params
    if method == "fail":
        raise errors.StateConflict("not now", remedy="later")
    if method == "defect":
        raise ZeroDivisionError
    if method == "unsendable":
        return object()
    if method == "wait":
        context.progress({"phase": "waiting"})
        await asyncio.sleep(60)
    if method == "cancel":
        return {"cancelled": context.cancel(params["id"])}
    raise errors.UnknownMethod(f"Unknown method: {method}")


EXTRA = ("echo", "fail", "defect", "unsendable", "wait", "cancel", "now")


def service(**options: Any) -> connection.Service:
    return connections.service(handle, *EXTRA, **options)


async def test_calls_both_ways_at_once() -> None:
    async with connections.pair(service(), service()) as (first, second):
        calls = [first.call("echo", {"n": n}) for n in range(50)]
        calls += [second.call("echo", {"n": n}) for n in range(50)]
        results = await asyncio.gather(*calls)
        assert results == [{"n": n} for n in range(50)] * 2
        assert first.protocol == connections.PROTOCOL


async def test_errors_are_typed_and_defects_reveal_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with connections.pair(service(), service()) as (first, _):
        with pytest.raises(errors.StateConflict, match="not now") as caught:
            await first.call("fail")
        assert caught.value.remedy == "later"
        for method in ("defect", "unsendable"):
            with pytest.raises(errors.InternalError, match="see the log"):
                await first.call(method)
        assert "ZeroDivisionError" in caplog.text
        with pytest.raises(errors.CapabilityError):
            await first.call("nope")


async def test_a_method_that_is_not_accepted_is_refused() -> None:
    async with connections.pair(connections.service(), service()) as (first, _):
        first._peer.callable = frozenset()
        with pytest.raises(errors.CapabilityError):
            await first.call("echo")
        with pytest.raises(errors.UnknownMethod):
            await first.call("nope")


async def test_immediate_methods_run_without_a_task() -> None:
    def now(params: anyjson.Object, context: connection.Request) -> Any:
        if params:
            raise errors.InvalidParams("none expected")
        return 5

    own = service(immediate={"now": now})
    async with connections.pair(service(), own) as (first, _):
        assert await first.call("now") == 5
        with pytest.raises(errors.InvalidParams):
            await first.call("now", {"a": 1})


async def test_progress_reaches_only_its_call_and_cancelling_is_reported() -> None:
    seen: list[anyjson.Object] = []
    started = asyncio.Event()

    def on_progress(params: anyjson.Object) -> None:
        seen.append(params)
        started.set()

    async with connections.pair(service(), service()) as (first, _):
        call = asyncio.create_task(first.call("wait", {}, None, on_progress))
        await started.wait()
        number = seen[0]["call"]
        assert seen == [{"call": number, "phase": "waiting"}]
        assert await first.call("cancel", {"id": number}) == {"cancelled": True}
        with pytest.raises(errors.Cancelled):
            await call
        assert await first.call("cancel", {"id": number}) == {"cancelled": False}


async def test_cancelling_the_caller_withdraws_the_call() -> None:
    started, cancelled = asyncio.Event(), asyncio.Event()

    async def slow(method: str, params: anyjson.Object, context: connection.Request) -> Any:
        if method == methods.CANCEL:
            return {"cancelled": context.cancel(params["id"])}
        started.set()
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.set()

    async with connections.pair(service(), connections.service(slow, "wait")) as (first, _):
        call = asyncio.create_task(first.call("wait"))
        await started.wait()
        call.cancel()
        await asyncio.wait_for(cancelled.wait(), LIMIT_S)


async def test_a_call_that_is_cancelled_before_it_begins_is_answered() -> None:
    async with connections.pair(service(), service()) as (first, second):
        call = asyncio.create_task(first.call("wait"))
        await asyncio.sleep(0)
        number = first._peer._last_id
        second.data_received(frames.encode(jsonrpc.request(number, "wait")))
        assert second.cancel_call(number)
        with pytest.raises(errors.Cancelled):
            await call


async def test_a_time_limit_ends_a_call_and_its_late_answer_is_dropped() -> None:
    async with connections.pair(service(), service()) as (first, _):
        with pytest.raises(errors.TimeLimit, match="wait: no answer within"):
            await first.call("wait", {}, 0.02)
        assert await first.call("echo", {"a": 1}) == {"a": 1}


async def test_pending_calls_end_and_tasks_are_cancelled_when_the_peer_goes() -> None:
    ended = asyncio.Event()
    began = asyncio.Event()

    async def slow(method: str, params: anyjson.Object, context: connection.Request) -> Any:
        began.set()
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    closed: list[str] = []
    async with connections.pair(service(), connections.service(slow, "wait")) as (first, second):
        second.on_close(lambda: closed.append("second"))
        call = asyncio.create_task(first.call("wait"))
        await began.wait()
        assert first._transport
        first._transport.abort()
        with pytest.raises(errors.ConnectionLost, match="before the answer"):
            await call
        await asyncio.wait_for(second.wait_closed(), LIMIT_S)
        assert ended.is_set()
        assert closed == ["second"]
        with pytest.raises(errors.ConnectionLost):
            await first.call("echo")
        first.notify("x", {})


async def test_notifications_reach_the_service() -> None:
    got: asyncio.Queue[tuple[str, anyjson.Object]] = asyncio.Queue()

    def on_notification(method: str, params: anyjson.Object, source: connection.Connection) -> None:
        got.put_nowait((method, params))

    own = service(on_notification=on_notification)
    async with connections.pair(service(), own) as (first, _):
        first.notify("state", {"observed": "running"})
        assert await got.get() == ("state", {"observed": "running"})


async def test_the_heartbeat_notices_a_silent_peer() -> None:
    left, right = socket.socketpair()
    with right:
        right.setblocking(False)
        task = asyncio.create_task(connection.connect(left, service(), first=False, name="beating"))
        await say_hello(right)
        link = await task
        link.set_heartbeat(0.01, 0.05)
        call = asyncio.create_task(link.call("echo"))
        await asyncio.wait_for(link.wait_closed(), LIMIT_S)
        assert "no answer to a ping" in str(link.error)
        with pytest.raises(errors.ConnectionLost):
            await call


async def test_an_answered_heartbeat_keeps_the_connection() -> None:
    beats = 0

    async def pong(method: str, params: anyjson.Object, context: connection.Request) -> Any:
        nonlocal beats
        beats += 1
        return {"ok": True}

    async with connections.pair(service(), connections.service(pong)) as (first, _):
        first.set_heartbeat(0.005, LIMIT_S)
        async with asyncio.timeout(LIMIT_S):
            while beats < 3:
                await asyncio.sleep(0.005)
        assert first.error is None


async def say_hello(sock: socket.socket, offer: hello.Offer | None = None) -> None:
    """Play the peer that speaks first: send and read the whole handshake."""
    offer = offer or hello.Offer(connections.PROTOCOL, ("hello", "ping", *EXTRA))
    side = peer.Peer([peer.Terms(offer)], first=True)
    side.begin()
    loop = asyncio.get_running_loop()
    while not side.ready:
        await loop.sock_sendall(sock, b"".join(side.take_output()))
        side.feed(await loop.sock_recv(sock, 65536))
        while side.next_event():
            pass
    await loop.sock_sendall(sock, b"".join(side.take_output()))


async def served(
    path: Path, own: connection.Service, **options: Any
) -> tuple[server.Server, socket.socket]:
    running = await server.serve_unix(sockets.bind_unix(path), [own], **options)
    sock = socket.socket(socket.AF_UNIX)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, str(path))
    return running, sock


async def read_to_end(sock: socket.socket) -> bytes:
    data = b""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(LIMIT_S):
        try:
            while block := await loop.sock_recv(sock, 65536):
                data += block
        except ConnectionResetError:
            pass
    return data


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\xff\xff\xff\xff", "Frame length 4294967295 exceeds"),
        (b"GET / HTTP/1.1\r\n\r\n", "exceeds maxFrameSize 16777216"),
        (b"\0\0\0\x03{x}", "not valid JSON"),
        (b"\0\0\0\x02[]", "batch"),
        (b"\0\0\0\x014", "must be an object"),
        (b"\0\0\0\0", "Zero-length"),
    ],
)
async def test_a_malformed_frame_closes_without_a_reply_and_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, data: bytes, reason: str
) -> None:
    running, sock = await served(tmp_path / "s", service())
    with sock:
        sock.send(data)
        assert await read_to_end(sock) == b""
    assert reason in caplog.text
    await running.aclose()
    assert running.connections == set()


async def test_a_client_that_says_nothing_is_disconnected(tmp_path: Path) -> None:
    running, sock = await served(tmp_path / "s", service(), handshake_s=0.05)
    with sock:
        assert await read_to_end(sock) == b""
    await running.aclose()


async def test_a_client_that_stops_reading_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(transport, "MAX_UNSENT_BYTES", 1 << 20)
    opened: list[connection.Connection] = []
    running, sock = await served(tmp_path / "s", service(on_open=opened.append))
    with sock:
        await say_hello(sock)
        async with asyncio.timeout(LIMIT_S):
            while not opened:
                await asyncio.sleep(0.001)
            while opened[0].error is None:
                opened[0].notify("event", {"x": "y" * 10_000})
                await asyncio.sleep(0)
        assert isinstance(opened[0].error, errors.TooSlow)
    assert "does not read" in caplog.text
    await running.aclose()


async def test_the_unsent_bound_is_32_mib() -> None:
    assert transport.MAX_UNSENT_BYTES == 32 << 20


async def test_too_many_calls_at_once_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answering, "MAX_CALLS", 3)
    async with connections.pair(service(), service()) as (first, _):
        waiting = [asyncio.create_task(first.call("wait")) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(errors.TooSlow):
            await first.call("echo")
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)


async def test_the_same_id_twice_is_refused() -> None:
    async with connections.pair(service(), service()) as (first, second):
        twice = jsonrpc.request(7, "wait")
        assert first._transport
        first._transport.write(frames.encode(twice) * 2)
        async with asyncio.timeout(LIMIT_S):
            while 7 not in second._answers.calls:
                await asyncio.sleep(0.001)
        assert len(second._answers.calls) == 1


async def test_the_protocol_of_hello_picks_the_service(tmp_path: Path) -> None:
    async def old(method: str, params: anyjson.Object, context: connection.Request) -> Any:
        if method == "ping":
            return {"ok": True, "ts": "now"}
        raise errors.UnknownMethod(f"Unknown method: {method}", details=None)

    terms = peer.Terms(hello.Offer(methods.LEGACY, methods.LEGACY_METHODS), legacy=True)
    path = tmp_path / "s"
    running = await server.serve_unix(
        sockets.bind_unix(path), [service(), connection.Service(terms, old)]
    )
    results = []
    for own in (service(), connection.Service(terms, connections.refuse)):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(str(path))
        link = await connection.connect(sock, own, first=True)
        results.append(link.protocol)
        await link.aclose()
    assert results == [connections.PROTOCOL, methods.LEGACY]
    await running.aclose()


async def test_a_wrong_token_fails_on_both_sides() -> None:
    left, right = socket.socketpair()
    offer = hello.Offer(connections.PROTOCOL, ("hello", "ping"), token="wrong")
    mine = connection.Service(peer.Terms(offer), connections.refuse)
    own = hello.Offer(connections.PROTOCOL, ("hello", "ping"))
    theirs = connection.Service(peer.Terms(own, expected_token="right"), connections.refuse)
    results = await asyncio.gather(
        connection.connect(left, mine, first=True),
        connection.connect(right, theirs, first=False),
        return_exceptions=True,
    )
    assert [type(result) for result in results] == [errors.AuthError, errors.AuthError]


async def test_connecting_to_another_server_is_a_typed_error() -> None:
    left, right = socket.socketpair()
    with right:
        right.send(b"SSH-2.0-OpenSSH_9.2\r\n")
        with pytest.raises(errors.FrameError):
            await connection.connect(left, service(), first=True)
    left, right = socket.socketpair()
    right.close()
    with pytest.raises(errors.ConnectionLost):
        await connection.connect(left, service(), first=True)


async def test_large_messages_pass_but_too_large_ones_are_refused() -> None:
    async with connections.pair(service(), service()) as (first, _):
        big = {"x": "y" * (8 << 20)}
        assert await first.call("echo", big) == big
        with pytest.raises(errors.FrameError):
            await first.call("echo", {"x": "y" * (17 << 20)})
        assert await first.call("echo", {"a": 1}) == {"a": 1}


async def test_a_server_that_closes_ends_its_connections(tmp_path: Path) -> None:
    running, sock = await served(tmp_path / "s", service())
    with sock:
        await say_hello(sock)
        sock.send(struct.pack(">I", 50))
        await running.aclose()
        await running.aclose()
        await read_to_end(sock)
    with pytest.raises(OSError), socket.socket(socket.AF_UNIX) as late:
        late.connect(str(tmp_path / "s"))


@pytest.fixture(autouse=True)
def log_everything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
