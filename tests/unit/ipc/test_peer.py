"""One connection's protocol, without any I/O: handshake, calls, refusals."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gaovm import errors
from gaovm.ipc import frames, hello, jsonrpc, methods, peer
from gaovm.wire import anyjson
from gaovm.wire.driver import table

VECTORS = json.loads(
    (Path(__file__).parents[2] / "data" / "gaovm" / "v1.2-vectors.json").read_text()
)
BY_NAME = {vector["name"]: vector["message"] for vector in VECTORS["frames"]}

CONTROL = peer.Terms(hello.Offer(methods.CONTROL, methods.CONTROL_METHODS))
LEGACY = peer.Terms(hello.Offer(methods.LEGACY, methods.LEGACY_METHODS), legacy=True)


def messages(side: peer.Peer) -> list[anyjson.Object]:
    decoder = frames.FrameDecoder()
    decoder.feed(b"".join(side.take_output()))
    found = []
    while (body := decoder.next_frame()) is not None:
        found.append(frames.decode(body))
    return found


def events(side: peer.Peer, *given: anyjson.Object | bytes) -> list[peer.Event]:
    for each in given:
        side.feed(each if isinstance(each, bytes) else frames.encode(each))
    found = []
    while (event := side.next_event()) is not None:
        found.append(event)
    return found


def talk(first: peer.Peer, second: peer.Peer) -> list[list[peer.Event]]:
    """Carry bytes between both until neither has more to say."""
    found: list[list[peer.Event]] = [[], []]
    while True:
        forth, back = b"".join(first.take_output()), b"".join(second.take_output())
        if not forth and not back:
            return found
        found[1] += events(second, forth)
        found[0] += events(first, back)


def ready_pair() -> tuple[peer.Peer, peer.Peer]:
    first, second = peer.Peer([CONTROL], first=True), peer.Peer([CONTROL, LEGACY], first=False)
    first.begin()
    talk(first, second)
    return first, second


def failure(found: list[peer.Event]) -> errors.GaoError:
    (event,) = found
    assert isinstance(event, peer.Failed)
    return event.error


def test_both_say_hello_and_learn_what_they_may_call() -> None:
    first = peer.Peer(
        [peer.Terms(hello.Offer(methods.CONTROL, ("hello", "ping", "x")))], first=True
    )
    second = peer.Peer([CONTROL], first=False)
    first.begin()
    found = talk(first, second)
    assert [[type(event) for event in side] for side in found] == [[peer.Ready], [peer.Ready]]
    assert first.ready
    assert second.ready
    assert first.callable == {"hello", "ping"} == second.served
    assert second.terms is CONTROL


def test_old_clients_get_the_exact_frames_and_need_not_answer() -> None:
    second = peer.Peer([CONTROL, LEGACY], first=False)
    offered = BY_NAME[
        "hello result: accepted is what was offered, in the order offered, and is known"
    ]["result"]["acceptedCapabilities"]
    params = {
        "protocol": methods.LEGACY,
        "capabilities": [*offered, "unknown"],
        "requiredCapabilities": ["hello", "ping"],
    }
    found = events(second, jsonrpc.request(1, "hello", params), BY_NAME["ping"])
    assert [type(event) for event in found] == [peer.Ready, jsonrpc.Request]
    reply, own_hello = messages(second)
    assert reply == next(iter(BY_NAME.values()))
    assert own_hello == BY_NAME["daemon hello to the client (ids of the daemon are negative)"]
    second.error(4, errors.UnknownMethod("Unknown method: nope"))
    assert messages(second) == [BY_NAME["unknown method, reply"]]
    assert events(second, jsonrpc.error(-1, {"code": -32601, "message": "no hello here"})) == []


def test_an_old_protocol_of_another_version_gets_the_exact_error() -> None:
    second = peer.Peer([CONTROL, LEGACY], first=False)
    params = {"protocol": "gaovm.v1.1", "capabilities": ["hello", "ping"]}
    error = failure(events(second, jsonrpc.request(1, "hello", params)))
    assert isinstance(error, errors.HandshakeError)
    assert messages(second) == [BY_NAME["hello with the wrong protocol, reply"]]
    assert events(second, BY_NAME["ping"]) == []


def test_another_protocol_fails_on_both_sides() -> None:
    first = peer.Peer([peer.Terms(hello.Offer("gaovm.control.v9", ("hello", "ping")))], first=True)
    second = peer.Peer([CONTROL, LEGACY], first=False)
    first.begin()
    ours, theirs = talk(first, second)
    for error in (failure(ours), failure(theirs)):
        assert isinstance(error, errors.HandshakeError)
        assert error.details == {"expected": methods.CONTROL, "actual": "gaovm.control.v9"}


@pytest.mark.parametrize("token", [None, "", "wrong", "\udcff", 5])
def test_a_missing_or_wrong_token(token: Any) -> None:
    terms = peer.Terms(CONTROL.offer, expected_token="right")
    second = peer.Peer([terms], first=False)
    params = CONTROL.offer.params() | ({} if token is None else {"authToken": token})
    second.feed(frames.frame(json.dumps(jsonrpc.request(1, "hello", params)).encode()))
    assert isinstance(failure(events(second)), errors.AuthError)
    (reply,) = messages(second)
    assert reply["error"]["code"] == -32011
    assert "right" not in json.dumps(reply)


def test_the_right_token() -> None:
    offer = hello.Offer(methods.DRIVER, table.NAMES, token="right")
    first = peer.Peer([peer.Terms(offer)], first=True)
    own = hello.Offer(methods.DRIVER, table.NAMES)
    second = peer.Peer([peer.Terms(own, expected_token="right")], first=False)
    first.begin()
    talk(first, second)
    assert first.ready
    assert second.ready


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"requiredCapabilities": ["hello", "teleport"]}, errors.CapabilityError),
        ({"capabilities": ["hello"]}, errors.CapabilityError),
        ({"capabilities": "hello"}, errors.InvalidParams),
        ({"capabilities": [1]}, errors.InvalidParams),
        ({"capabilities": ["x"] * 2000}, errors.CapabilityError),
        ({"protocol": 5}, errors.InvalidParams),
        ({"protocol": None}, errors.InvalidParams),
    ],
)
def test_a_bad_hello_ends_the_handshake(
    change: anyjson.Object, kind: type[errors.GaoError]
) -> None:
    second = peer.Peer([CONTROL], first=False)
    params = {**CONTROL.offer.params(), **change}
    assert type(failure(events(second, jsonrpc.request(1, "hello", params)))) is kind
    (reply,) = messages(second)
    assert reply["error"]["data"]["code"] == kind.code


@pytest.mark.parametrize(
    "result",
    [
        None,
        {},
        {"protocol": methods.CONTROL},
        {"protocol": "other", "acceptedCapabilities": []},
        {"protocol": methods.CONTROL, "capabilities": [], "acceptedCapabilities": ["hello"]},
    ],
)
def test_a_wrong_answer_to_our_hello(result: Any) -> None:
    first = peer.Peer([CONTROL], first=True)
    first.begin()
    failure(events(first, jsonrpc.result(1, result)))


def test_no_call_is_served_before_hello() -> None:
    second = peer.Peer([CONTROL, LEGACY], first=False)
    assert events(second, BY_NAME["ping"], jsonrpc.notification("x")) == []
    (reply,) = messages(second)
    text = "hello handshake required before method ping"
    assert reply["error"] == {"code": -32010, "message": text}
    params = CONTROL.offer.params()
    assert events(second, jsonrpc.request(3, "hello", params), BY_NAME["ping"]) == []
    *_, reply = messages(second)
    assert reply["error"]["code"] == -32010
    assert not second.ready


def test_a_second_hello_is_refused() -> None:
    _, second = ready_pair()
    assert events(second, jsonrpc.request(9, "hello", CONTROL.offer.params())) == []
    assert messages(second)[0]["error"]["code"] == -32010


def test_calls_both_ways_end_with_result_or_error() -> None:
    first, second = ready_pair()
    assert first.request("vm.list", {"a": 1}, "call") == 2
    (request,) = talk(first, second)[1]
    assert isinstance(request, jsonrpc.Request)
    second.result(request.id, [1])
    (reply,) = talk(first, second)[0]
    assert isinstance(reply, peer.Reply)
    assert (reply.token, reply.result, reply.error) == ("call", [1], None)
    assert second.request("ping", None, "back") == -2
    (request,) = talk(first, second)[0]
    assert isinstance(request, jsonrpc.Request)
    first.error(request.id, errors.VmNotFound("no VM", remedy="look", details={"a": 1}))
    (reply,) = talk(first, second)[1]
    assert isinstance(reply, peer.Reply)
    assert isinstance(reply.error, errors.VmNotFound)
    assert (reply.error.remedy, reply.error.details) == ("look", {"a": 1})


def test_late_and_unknown_answers_are_dropped() -> None:
    first, _ = ready_pair()
    number = first.request("ping", None, "x")
    first.forget(number)
    assert events(first, jsonrpc.result(number, 1), jsonrpc.result(99, 1)) == []
    assert events(first, jsonrpc.error(None, {"code": -32600, "message": "x"})) == []
    assert first.take_pending() == []


def test_an_invalid_answer_ends_its_call() -> None:
    first, _ = ready_pair()
    number = first.request("ping", None, "x")
    (reply,) = events(first, {"jsonrpc": "2.0", "id": number, "error": "broken"})
    assert isinstance(reply, peer.Reply)
    assert isinstance(reply.error, errors.InvalidReply)


def test_an_invalid_request_is_answered_and_the_connection_stays() -> None:
    first, second = ready_pair()
    assert events(second, {"jsonrpc": "2.0", "id": 5, "method": 1}, {"a": 1}) == []
    codes = [(reply["id"], reply["error"]["code"]) for reply in messages(second)]
    assert codes == [(5, -32600), (None, -32600)]
    first.request("ping", None, "x")
    assert len(talk(first, second)[1]) == 1


@pytest.mark.parametrize(
    "data", [b"\xff\xff\xff\xff", b"\0\0\0\x02[]", b"\0\0\0\x01x", b"\0\0\0\0"]
)
def test_a_malformed_frame_ends_the_connection_without_a_reply(data: bytes) -> None:
    _, second = ready_pair()
    assert isinstance(failure(events(second, data)), errors.FrameError)
    assert second.take_output() == []


def test_old_clients_get_a_capability_mismatch_in_their_own_words() -> None:
    second = peer.Peer([CONTROL, LEGACY], first=False)
    params = {
        "protocol": methods.LEGACY,
        "capabilities": ["hello", "ping"],
        "requiredCapabilities": ["hello", "teleport"],
    }
    failure(events(second, jsonrpc.request(1, "hello", params)))
    (reply,) = messages(second)
    assert reply["error"] == {
        "code": VECTORS["error_codes"]["capability mismatch"],
        "message": "Capability mismatch",
        "data": {"required": ["hello", "teleport"]},
    }
    error = failure(
        events(
            peer.Peer([CONTROL], first=False),
            jsonrpc.request(1, "hello", CONTROL.offer.params() | {"capabilities": ["ping"]}),
        )
    )
    assert error.details == {"required": ["hello", "ping"]}
    assert error.remedy is not None
    assert error.remedy.startswith("missing: hello;")


@pytest.mark.parametrize("names", [5000, 50_000])
def test_a_hello_may_be_as_large_as_any_frame(names: int) -> None:
    second = peer.Peer([CONTROL, LEGACY], first=False)
    given = [*methods.LEGACY_METHODS, *(f"x{n}" for n in range(names))]
    given.append("y" * ((16 << 20) - len(json.dumps(given)) - 1000))
    params = {"protocol": methods.LEGACY, "capabilities": given}
    (event,) = events(second, jsonrpc.request(1, "hello", params))
    assert isinstance(event, peer.Ready)
    reply, _ = messages(second)
    assert reply["result"]["acceptedCapabilities"] == list(methods.LEGACY_METHODS)


def test_the_protocol_limits_the_frames_after_hello() -> None:
    terms = peer.Terms(CONTROL.offer, max_frame_bytes=1 << 20)
    first, second = peer.Peer([CONTROL], first=True), peer.Peer([terms, LEGACY], first=False)
    first.begin()
    talk(first, second)
    first.notify("x", {"a": "y" * (1 << 19)})
    assert len(talk(first, second)[1]) == 1
    first.notify("x", {"a": "y" * (1 << 20)})
    assert "exceeds maxFrameSize 1048576" in str(failure(talk(first, second)[1]))


def test_a_result_that_cannot_be_sent_becomes_an_error() -> None:
    first, second = ready_pair()
    number = first.request("ping", None, "x")
    talk(first, second)
    second.result(number, "x" * (17 << 20))
    (reply,) = talk(first, second)[0]
    assert isinstance(reply, peer.Reply)
    assert isinstance(reply.error, errors.InternalError)
    second.error(7, errors.HostError("\udcff", details={"a": object()}))
    assert messages(second)[0]["error"] == {"code": -32000, "message": "\\udcff"}


def test_the_end_of_the_stream_ends_pending_calls() -> None:
    first, _ = ready_pair()
    first.request("ping", None, "x")
    assert isinstance(first.eof().error, errors.ConnectionLost)
    assert first.take_pending() == ["x"]
    first, _ = ready_pair()
    first.feed(b"\0\0\0\x05{")
    assert str(first.eof().error) == "Incomplete frame: 5 bytes remaining."


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_any_splitting_of_a_conversation_gives_the_same_events(data: Any) -> None:
    first = peer.Peer([CONTROL], first=True)
    first.begin()
    hello_bytes = b"".join(first.take_output())
    answer = peer.Peer([CONTROL], first=False)
    events(answer, hello_bytes)
    events(first, b"".join(answer.take_output()))
    for number in range(4):
        first.request("vm.list", {"n": number}, number)
    stream = hello_bytes + b"".join(first.take_output())
    second = peer.Peer([CONTROL], first=False)
    found: list[peer.Event] = []
    cuts = data.draw(st.sets(st.integers(1, len(stream) - 1), max_size=60))
    for start, end in itertools.pairwise([0, *sorted(cuts), len(stream)]):
        second.feed(stream[start:end])
        while (event := second.next_event()) is not None:
            found.append(event)
    assert [type(event) for event in found] == [peer.Ready] + [jsonrpc.Request] * 4
