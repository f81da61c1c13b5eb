from __future__ import annotations

import pytest

from gaovm.client import escape, inquiry, silence


class World:
    """A clock that the test moves, and a guest whose answer the test chooses."""

    def __init__(self) -> None:
        self.now = 100.0
        self.why = "it is paused"
        self.asked = 0
        self.watch = silence.Watch(self.ask, lambda: self.now)

    def ask(self) -> inquiry.Finding:
        self.asked += 1
        return inquiry.Finding(self.why)

    def later(self, seconds: float) -> silence.Verdict:
        self.now += seconds
        return self.watch.look()


def test_limits_stay_below_two_seconds() -> None:
    assert silence.PATIENCE_S + inquiry.LIMIT_S <= 2
    assert silence.LEAVE_AFTER_S + inquiry.LIMIT_S < 2


def test_a_silence_is_reported_once() -> None:
    world = World()
    world.watch.sent()
    assert not world.later(silence.PATIENCE_S / 2).text
    assert world.later(silence.PATIENCE_S).text == "it is paused"
    world.watch.sent()
    assert world.watch.due_ms() is None
    world.watch.heard()
    world.watch.sent()
    assert world.later(silence.PATIENCE_S).text == "it is paused"
    assert world.asked == 2


def test_an_answered_request_is_no_silence() -> None:
    world = World()
    world.watch.sent()
    world.watch.heard()
    assert not world.later(10).text
    assert world.asked == 0


def test_a_signal_ends_the_wait_only_when_the_guest_is_dead() -> None:
    world = World()
    world.why = ""
    world.watch.signalled(15)
    assert world.later(silence.LEAVE_AFTER_S).status is None
    world.why = "it is paused"
    world.watch.signalled(15)
    assert world.later(silence.LEAVE_AFTER_S).status == 143


def test_a_watch_with_nobody_to_ask_never_falls_due() -> None:
    watch = silence.Watch(None)
    watch.sent()
    watch.signalled(15)
    assert watch.due_ms() is None
    assert watch.look().status is None


@pytest.mark.parametrize(
    ("typed", "passed", "leaves"),
    [
        (b"~.", b"", True),
        (b"~.rest", b"", True),
        (b"ls\r~.", b"ls\r", True),
        (b"ls\n~.", b"ls\n", True),
        (b"~~.\r", b"~.\r", False),
        (b"~a.", b"~a.", False),
        (b"a~.", b"a~.", False),
        (b"~\r~.", b"~\r", True),
        (b"~~~.", b"~~.", False),
        ("ü~.".encode(), "ü~.".encode(), False),
    ],
)
def test_the_escape(typed: bytes, passed: bytes, leaves: bool) -> None:
    assert escape.Escape().feed(typed) == (passed, leaves)
    one = escape.Escape()
    got, left = b"", False
    for number in typed:
        part, left = one.feed(bytes((number,)))
        got += part
        if left:
            break
    assert (got, left) == (passed, leaves)
