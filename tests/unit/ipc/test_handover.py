"""A connection moves to another process: it loses nothing and says nothing twice."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaovm import errors
from gaovm.aio import tasks
from gaovm.ipc import connection, frames, handover, hello, jsonrpc, methods, peer
from gaovm.testing import connections
from gaovm.wire import anyjson

OFFER = hello.Offer("test.v1", (methods.HELLO, methods.PING, methods.CANCEL, "echo", "wait"))


def wired(state: peer.Exported) -> peer.Exported:
    """Return an exported peer after it went through JSON."""
    data = msgspec.json.encode(handover.PeerState(**state))
    arrived = msgspec.json.decode(data, type=handover.PeerState)
    return cast("peer.Exported", msgspec.structs.asdict(arrived))


def said(side: peer.Peer) -> list[Any]:
    found: list[Any] = []
    while (event := side.next_event()) is not None:
        names = [name for name in ("id", "method", "params") if hasattr(event, name)]
        found.append((type(event).__name__, *(getattr(event, name) for name in names)))
    return found


def client_bytes() -> bytes:
    """Return all that a client sends: its hello, the answer to ours, calls and a notification."""
    answer = {"protocol": "test.v1", "capabilities": [], "acceptedCapabilities": ["hello", "ping"]}
    return b"".join(
        frames.encode(message)
        for message in (
            jsonrpc.request(1, "hello", OFFER.params()),
            jsonrpc.result(-1, answer),
            jsonrpc.request(2, "echo", {"text": "ä" * 300}),
            jsonrpc.notification("event", {"n": 1}),
            jsonrpc.request("three", "wait"),
        )
    )


STREAM = client_bytes()


def alone() -> tuple[list[Any], bytes]:
    side = peer.Peer([peer.Terms(OFFER)], first=False)
    side.feed(STREAM)
    return said(side), b"".join(side.take_output())


@given(st.lists(st.integers(min_value=0, max_value=len(STREAM)), max_size=4))
def test_a_peer_continues_from_any_byte_any_number_of_times(cuts: list[int]) -> None:
    side = peer.Peer([peer.Terms(OFFER)], first=False)
    found, output, at = [], b"", 0
    for cut in [*sorted(cuts), len(STREAM)]:
        side.feed(STREAM[at:cut])
        at = cut
        found += said(side)
        output += b"".join(side.take_output())
        state = wired(side.export())
        side = peer.Peer([peer.Terms(OFFER)], first=False)
        side.resume(state)
        found += said(side)
    assert (found, output + b"".join(side.take_output())) == alone()


def test_ids_continue_and_late_answers_to_forgotten_calls_are_dropped() -> None:
    side = peer.Peer([peer.Terms(OFFER)], first=True)
    side.begin()
    assert side.request("ping", {}, object()) == 2
    after = peer.Peer([peer.Terms(OFFER)], first=True)
    after.resume(wired(side.export()))
    assert after.request("ping", {}, object()) == 3
    after.feed(frames.encode(jsonrpc.result(2, {})))
    assert after.next_event() is None


def test_a_protocol_that_the_new_code_does_not_speak_is_refused() -> None:
    side = peer.Peer([peer.Terms(OFFER)], first=True)
    other = peer.Peer([peer.Terms(hello.Offer("test.v2", ("hello", "ping")))], first=True)
    with pytest.raises(errors.HandshakeError, match=r"test\.v1"):
        other.resume(side.export())


@pytest.mark.parametrize("sizes", [[3, 4, 5], [100], [1, 1, 1, 1]])
def test_unsent_bytes_are_the_end_of_what_was_written(sizes: list[int]) -> None:
    unsent, everything = handover.Unsent(), b""
    for size in sizes:
        data = os.urandom(size)
        everything += data
        unsent.wrote(data, len(everything) - 1)
    assert unsent.last(len(everything) - 1) == everything[1:]
    unsent.wrote(b"xyz", 2)
    assert unsent.last(2) == b"yz"
    assert unsent.last(0) == b""
    unsent.wrote(b"", 0)
    assert unsent.last(0) == b""


ACCEPTS = {
    "protocol": connections.PROTOCOL,
    "capabilities": [],
    "acceptedCapabilities": ["hello", "ping"],
}


class Serving:
    """A service that records each call; tests can hold its calls at a gate."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.begun: list[str] = []
        self.service = connections.service(self.handle, "echo", "wait", gate=self.gate)

    async def gate(self, method: str) -> None:
        await self.open.wait()

    async def handle(self, method: str, params: anyjson.Object, _: connection.Request) -> Any:
        self.begun.append(method)
        if method == "wait":
            await asyncio.sleep(60)
        return params


async def start(serving: Serving) -> tuple[handover.Movable, socket.socket]:
    """Return a connection after its handshake, and the client's raw socket."""
    ours, theirs = socket.socketpair()
    made = handover.Movable([serving.service], first=False, name="one", handshake_s=5.0)
    attaching = tasks.spawn(connection.attach(made, ours), name="attach")
    theirs.setblocking(False)
    offer = hello.Offer(connections.PROTOCOL, ("hello", "ping", "call.cancel", "echo", "wait"))
    await send(theirs, jsonrpc.request(1, "hello", offer.params()), jsonrpc.result(-1, ACCEPTS))
    await attaching
    await receive(theirs, 2)
    return made, theirs


async def send(sock: socket.socket, *messages: anyjson.Object) -> None:
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(sock, b"".join(frames.encode(message) for message in messages))


async def receive(sock: socket.socket, count: int) -> list[anyjson.Object]:
    decoder = frames.FrameDecoder()
    found: list[anyjson.Object] = []
    while len(found) < count:
        decoder.feed(await asyncio.get_running_loop().sock_recv(sock, 1 << 20))
        while (body := decoder.next_frame()) is not None:
            found.append(frames.decode(body))
    assert not decoder.pending
    return found


async def move(old: handover.Movable, serving: Serving) -> handover.Movable:
    """Do what an exec does: keep the descriptor, lose everything else of the old connection."""
    fd = os.dup(old.fileno())
    data = msgspec.json.encode(old.snapshot())
    assert old._transport is not None
    old._transport.abort()
    await old.wait_closed()
    snapshot = msgspec.json.decode(data, type=handover.Snapshot)
    return await handover.resume(socket.socket(fileno=fd), [serving.service], snapshot, first=False)


async def test_a_call_cut_inside_its_frame_is_answered_once() -> None:
    serving = Serving()
    made, client = await start(serving)
    frame = frames.encode(jsonrpc.request(7, "echo", {"text": "x" * 1000}))
    with client:
        await asyncio.get_running_loop().sock_sendall(client, frame[:500])
        await asyncio.sleep(0)
        after = await move(made, serving)
        await asyncio.get_running_loop().sock_sendall(client, frame[500:])
        (answer,) = await receive(client, 1)
        assert answer["id"] == 7
        assert answer["result"] == {"text": "x" * 1000}
        await after.aclose()
    assert serving.begun == ["echo"]


async def test_a_slow_client_gets_all_unread_output_once() -> None:
    serving = Serving()
    made, client = await start(serving)
    with client:
        for n in range(60):
            made.notify("event", {"n": n, "fill": "y" * 20_000})
        await asyncio.sleep(0)
        assert made.snapshot().unsent  # the socket did not take all of it
        after = await move(made, serving)
        after.notify("event", {"n": 60})
        found = await receive(client, 61)
        assert [message["params"]["n"] for message in found] == list(range(61))
        await after.aclose()


async def test_only_calls_held_at_the_gate_begin_after_the_move() -> None:
    first, second = Serving(), Serving()
    made, client = await start(first)
    with client:
        await send(client, jsonrpc.request(2, "wait"))
        while first.begun != ["wait"]:
            await asyncio.sleep(0)
        first.open.clear()
        await send(client, jsonrpc.request(3, "echo", {"n": 3}), jsonrpc.request(4, "echo"))
        while len(made._answers.calls) < 3:
            await asyncio.sleep(0)
        assert list(made.begun()) == [2]
        after = await move(made, second)
        after.answer(2, {"late": True})
        found = {message["id"]: message["result"] for message in await receive(client, 3)}
        assert found == {2: {"late": True}, 3: {"n": 3}, 4: {}}
        assert second.begun == ["echo", "echo"]
        assert first.begun == ["wait"]
        await after.aclose()


async def test_a_client_in_the_middle_of_its_hello_can_finish_it() -> None:
    serving = Serving()
    ours, client = socket.socketpair()
    client.setblocking(False)
    made = handover.Movable([serving.service], first=False, name="one", handshake_s=5.0)
    attaching = tasks.spawn(connection.attach(made, ours), name="attach")
    with client:
        offer = hello.Offer(connections.PROTOCOL, ("hello", "ping", "call.cancel", "echo", "wait"))
        await send(client, jsonrpc.request(1, "hello", offer.params()))
        await receive(client, 2)
        after = await move(made, serving)
        with pytest.raises(errors.ConnectionLost):
            await attaching
        await send(client, jsonrpc.result(-1, ACCEPTS), jsonrpc.request(2, "echo", {"n": 1}))
        (message,) = await receive(client, 1)
        assert message["result"] == {"n": 1}
        await after.aclose()


async def test_both_ends_of_a_pair_can_still_call_each_other() -> None:
    serving = Serving()
    ours, theirs = socket.socketpair()
    service = connections.service(connections.refuse, "echo")
    made = handover.Movable([service], first=False, name="link", handshake_s=5.0)
    attaching = tasks.spawn(connection.attach(made, ours), name="attach")
    other = await connection.connect(theirs, serving.service, first=True)
    await attaching
    assert await made.call("echo", {"n": 1}) == {"n": 1}
    fd = os.dup(made.fileno())
    made.ping()  # nobody waits for its answer
    snapshot = made.snapshot()
    assert made._transport is not None
    made._transport.abort()
    await made.wait_closed()
    after = await handover.resume(socket.socket(fileno=fd), [service], snapshot, first=False)
    assert await after.call("echo", {"n": 2}) == {"n": 2}
    with pytest.raises(errors.CapabilityError):
        await after.call("vm.pause")
    await after.aclose()
    await other.aclose()
