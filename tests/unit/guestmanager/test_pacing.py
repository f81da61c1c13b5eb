"""Limits for a guest: how many frames of which type, and how soon it may reconnect."""

from __future__ import annotations

import pytest

from gaovm import errors
from gaovm.guestmanager.transport import pacing
from gaovm.guestmanager.transport.pacing import FrameGuard, Pace, Rejoining

PING = b"\0\0\x08\x06\0\0\0\0\0flooding"
DATA = b"\0\0\x02\0\0\0\0\0\x01ab"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_turn_ends_between_two_frames() -> None:
    assert FrameGuard().take(PING * 1000, 10) == (10 * len(PING), 10)


@pytest.mark.parametrize("size", [1, 7, 9, 10, 1000])
def test_frames_are_counted_in_any_chunks(size: int) -> None:
    guard, data = FrameGuard(), (PING + DATA) * 50
    total = 0
    for at in range(0, len(data), size):
        taken, cost = guard.take(data[at : at + size], pacing.TURN)
        assert taken == len(data[at : at + size])
        total += cost
    assert total == 100


def test_the_cost_of_bulk_data_is_its_number_of_frames() -> None:
    frame = (1 << 16).to_bytes(3, "big") + b"\0\0\0\0\0\x01" + bytes(1 << 16)
    assert FrameGuard().take(frame * 4, pacing.TURN) == (4 * len(frame), 4)


@pytest.mark.parametrize(
    ("kind", "length"),
    [(0x0, (1 << 20) + 1), (0x1, 1 << 15), (0x4, 6 * 1000), (0x5, 10), (0x9, 1), (0xEE, 0)],
)
def test_a_frame_that_no_agent_sends_is_refused_by_its_header(kind: int, length: int) -> None:
    with pytest.raises(errors.GuestProtocolError, match=f"type {kind}"):
        FrameGuard().take(length.to_bytes(3, "big") + bytes((kind, 0, 0, 0, 0, 0)), pacing.TURN)


def test_settings_may_change_only_a_few_times() -> None:
    guard, one = FrameGuard(), b"\0\0\0\x04\0\0\0\0\0"
    assert guard.take(one * pacing.MAX_SETTINGS, 1 << 20)[0] == len(one) * pacing.MAX_SETTINGS
    with pytest.raises(errors.GuestProtocolError, match="settings"):
        guard.take(one, 1)


def test_a_flood_is_slowed_to_the_rate_but_a_burst_is_not() -> None:
    clock = Clock()
    pace, spent, waited = Pace(clock), 0, 0.0
    while spent < pacing.BURST:
        assert pace.spend(pacing.TURN) == 0 or spent + pacing.TURN > pacing.BURST
        spent += pacing.TURN
    for _ in range(1000):
        pause = pace.spend(pacing.TURN)
        waited += pause
        clock.now += pause
    assert 1000 * pacing.TURN / waited == pytest.approx(pacing.PER_SECOND, rel=0.01)


def test_a_sender_below_the_rate_never_waits() -> None:
    clock = Clock()
    pace = Pace(clock)
    for _ in range(10_000):
        clock.now += 0.01
        assert pace.spend(199) == 0


def test_each_loss_makes_the_next_connection_wait_longer() -> None:
    clock = Clock()
    again = Rejoining(clock, first_s=0.25, longest_s=15)
    pauses = []
    for _ in range(10):
        again.lost(0.1)
        pauses.append(again.left_s)
        clock.now += again.left_s
    assert pauses == [0, 0.25, 0.5, 1, 2, 4, 8, 15, 15, 15]
    again.lost(3600)
    assert again.left_s == 0, "a connection that lasted long resets the pause"
