"""The blocking client, against a peer that the test runs in a thread."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from gaovm import errors
from gaovm.ipc import blocking, hello, jsonrpc, methods, peer

TERMS = peer.Terms(hello.Offer(methods.CONTROL, methods.CONTROL_METHODS))
Script = Callable[[peer.Peer, jsonrpc.Request], None]


class Daemon:
    """Answers as ``script`` says; closes when ``script`` raises ``EOFError``."""

    def __init__(self, script: Script, terms: peer.Terms = TERMS) -> None:
        self.client, self._sock = socket.socketpair()
        self._script = script
        self._terms = terms
        self.requests: list[jsonrpc.Request] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        side = peer.Peer([self._terms], first=False)
        with self._sock:
            try:
                while data := self._sock.recv(65536):
                    side.feed(data)
                    while (event := side.next_event()) is not None:
                        if isinstance(event, jsonrpc.Request):
                            self.requests.append(event)
                            self._script(side, event)
                    self._sock.sendall(b"".join(side.take_output()))
            except (EOFError, OSError):
                return

    def connect(self) -> blocking.BlockingConnection:
        return blocking.BlockingConnection(self.client, TERMS)


def echo(side: peer.Peer, request: jsonrpc.Request) -> None:
    side.notify("progress", {"call": request.id, "phase": "one"})
    side.notify("progress", {"call": 999, "phase": "other"})
    side.notify("event", {"seq": 1})
    side.request("ping", {}, "token")
    side.result(request.id, request.params)


def test_a_call_with_progress_and_notifications() -> None:
    progress: list[Mapping[str, Any]] = []
    others: list[str] = []
    daemon = Daemon(echo)
    with daemon.connect() as link:
        result = link.call(
            "vm.list", {"a": "é"}, 5.0, progress.append, lambda method, _: others.append(method)
        )
        assert result == {"a": "é"}
        assert link.call("vm.list") == {}
    assert [each["phase"] for each in progress] == ["one"]
    assert others == ["event"]


def test_errors_are_typed() -> None:
    def refuse(side: peer.Peer, request: jsonrpc.Request) -> None:
        side.error(request.id, errors.VmNotFound("no VM", remedy="look"))

    with Daemon(refuse).connect() as link:
        with pytest.raises(errors.VmNotFound, match="no VM"):
            link.call("vm.status", {"name": "x"})
        with pytest.raises(errors.CapabilityError):
            link.call("nope")
        with pytest.raises(errors.InvalidParams, match="UTF-8"):
            link.call("vm.status", {"name": "\udcff"})


def test_the_end_of_the_connection_ends_the_call() -> None:
    def vanish(side: peer.Peer, request: jsonrpc.Request) -> None:
        raise EOFError

    with Daemon(vanish).connect() as link:
        with pytest.raises(errors.ConnectionLost):
            link.call("vm.list")
        link.wait_closed(1.0)


def withdrawing(*, undone: bool) -> Script:
    """Return a script whose calls never end; a cancelled call ends if ``undone``."""
    calls: list[jsonrpc.Request] = []

    def script(side: peer.Peer, request: jsonrpc.Request) -> None:
        if request.method != methods.CANCEL:
            calls.append(request)
            side.notify("progress", {"call": request.id, "phase": "x"})
            return
        assert request.params == {"id": calls[-1].id}
        side.result(request.id, {"cancelled": undone})
        if undone:
            side.error(calls[-1].id, errors.Cancelled("undone"))

    return script


@pytest.mark.parametrize("undone", [False, True])
def test_a_time_limit_withdraws_the_call(undone: bool) -> None:
    daemon = Daemon(withdrawing(undone=undone))
    with daemon.connect() as link:
        with pytest.raises(errors.TimeLimit, match=r"vm.up: no answer within 0.05 s") as caught:
            link.call("vm.up", {}, 0.05)
        assert ("undone" in str(caught.value)) is undone
        with pytest.raises(errors.TimeLimit):
            link.wait_closed(0.02)
    assert [request.method for request in daemon.requests] == ["vm.up", methods.CANCEL]


@pytest.mark.parametrize(("undone", "kind"), [(False, KeyboardInterrupt), (True, errors.Cancelled)])
def test_an_interrupt_withdraws_the_call(undone: bool, kind: type[BaseException]) -> None:
    def interrupt(_: Mapping[str, Any]) -> None:
        raise KeyboardInterrupt

    daemon = Daemon(withdrawing(undone=undone))
    with daemon.connect() as link, pytest.raises(kind):
        link.call("vm.up", {}, None, interrupt)
    assert [request.method for request in daemon.requests] == ["vm.up", methods.CANCEL]


def test_the_wait_for_the_answer_to_a_withdrawal_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(blocking, "CANCEL_ANSWER_LIMIT_S", 0.05)
    with Daemon(lambda side, request: None).connect() as link, pytest.raises(errors.TimeLimit):
        link.call("vm.list", {}, 0.05)


def test_another_protocol_is_a_typed_error() -> None:
    other = peer.Terms(hello.Offer("gaovm.control.v2", methods.CONTROL_METHODS))
    with pytest.raises(errors.HandshakeError, match="Protocol mismatch"):
        Daemon(echo, other).connect()


def test_a_peer_that_speaks_another_language() -> None:
    left, right = socket.socketpair()
    with right:
        right.sendall(b"220 mail.example.org ESMTP\r\n")
        with pytest.raises(errors.FrameError):
            blocking.BlockingConnection(left, TERMS)


def test_a_peer_that_says_nothing() -> None:
    left, right = socket.socketpair()
    with right, pytest.raises(errors.TimeLimit):
        blocking.BlockingConnection(left, TERMS, limit_s=0.05)


def test_waiting_for_notifications() -> None:
    def script(side: peer.Peer, request: jsonrpc.Request) -> None:
        side.result(request.id, {"ok": True})
        side.notify("event", {"seq": 1})

    got: list[str] = []
    with Daemon(script).connect() as link:
        link.call("events.subscribe", {}, None, None, lambda method, _: got.append(method))
        while not got:
            link.wait_notification(lambda method, _: got.append(method), 2.0)
    assert got == ["event"]
