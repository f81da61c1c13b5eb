"""The guest's clock: how the host measures it, and what it does with a reading."""

from __future__ import annotations

import json
from typing import cast

import pytest

from gaovm import errors
from gaovm.aio import clock as host
from gaovm.guestmanager import clock
from gaovm.guestmanager.clock import Discipline, Reading
from gaovm.guestmanager.transport.connection import Connection
from gaovm.wire.agent.clock import Correction

MS = 1_000_000


class Guest:
    """A guest whose clock is off, behind a channel that takes the given time in each direction."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, off_ns: int) -> None:
        self.at = 1_700_000_000_000_000_000
        self.off_ns = off_ns
        self.ways: list[tuple[int, int]] = []
        self.calls: list[object] = []
        monkeypatch.setattr(host, "now_ns", lambda: self.at)
        monkeypatch.setattr(host, "monotonic_ns", lambda: self.at - 10**18)

    async def call(
        self, method: str, path: str, body: bytes = b"", *, limit_s: float = 0
    ) -> tuple[int, bytes]:
        there, back = self.ways.pop(0)
        self.at += there
        now = self.at + self.off_ns
        self.at += back
        return 200, json.dumps({"unix_ns": now}).encode()


async def test_the_quickest_exchange_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    guest = Guest(monkeypatch, off_ns=-150 * MS)
    guest.ways = [(90 * MS, 2 * MS), (3 * MS, 3 * MS), (200 * MS, 1 * MS)]
    reading = await clock.measure(cast("Connection", guest), 3)
    assert reading == Reading(-150 * MS, 6 * MS)


async def test_a_reading_errs_by_half_an_exchange_at_most(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    guest = Guest(monkeypatch, off_ns=0)
    guest.ways = [(10 * MS, 0)]
    reading = await clock.measure(cast("Connection", guest), 1)
    assert reading == Reading(5 * MS, 10 * MS)


async def test_an_impossible_time_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    guest = Guest(monkeypatch, off_ns=2**64)
    guest.ways = [(0, 0)]
    with pytest.raises(errors.GuestProtocolError):
        await clock.measure(cast("Connection", guest), 1)


def test_a_clock_that_no_program_has_read_is_set() -> None:
    decided = Discipline().decide(Reading(-180 * MS, 2 * MS), unseen=True)
    assert decided == Correction(offset_ns=180 * MS, step=True)


def test_a_clock_that_programs_have_read_is_slewed() -> None:
    decided = Discipline().decide(Reading(3 * MS, 2 * MS), unseen=False)
    assert decided is not None
    assert (decided.offset_ns, decided.step) == (-3 * MS, False)


def test_a_running_guest_that_is_far_off_is_set() -> None:
    decided = Discipline().decide(Reading(2_000 * MS, 2 * MS), unseen=False)
    assert decided == Correction(offset_ns=-2_000 * MS, step=True)


@pytest.mark.parametrize("unseen", [True, False])
def test_a_slow_exchange_corrects_nothing(unseen: bool) -> None:
    assert Discipline().decide(Reading(8 * MS, 400 * MS), unseen=unseen) is None


def test_a_steady_clock_is_measured_less_and_less_often() -> None:
    discipline = Discipline()
    pauses, constants = [], []
    for _ in range(6):
        decided = discipline.decide(Reading(100, MS), unseen=False)
        assert decided is not None
        constants.append(decided.constant)
        pauses.append(discipline.pause_s)
    assert pauses == [8, 16, 32, 64, 64, 64]
    assert constants == [0, 0, 0, 1, 2, 2]
    discipline.decide(Reading(2 * MS, MS), unseen=False)
    assert discipline.pause_s == clock.SHORTEST_PAUSE_S


@pytest.mark.parametrize("ppm", [-200, -30, 0, 50, 200])
def test_a_clock_with_a_wrong_rate_stays_within_5_ms(ppm: int) -> None:
    """Simulates the kernel's loop (kernel/time/ntp.c), second by second, in floating point."""
    discipline = Discipline()
    off = frequency = left = since = 0.0
    constant, worst = 0, 0.0
    due = clock.FIRST_PAUSE_S
    for second in range(1200):
        if second >= due:
            decided = discipline.decide(Reading(round(off * 1e9), MS // 2), unseen=False)
            assert decided is not None
            assert not decided.step
            constant, left = decided.constant, decided.offset_ns / 1e9
            seconds = min(second - since, 1 << (2 + 1 + constant))
            frequency += left * seconds / (1 << 2 * (2 + 2 + constant))
            since, due = second, second + discipline.pause_s
        slewed = left / (1 << (2 + constant))
        left -= slewed
        off += ppm / 1e6 + frequency + slewed
        worst = max(worst, abs(off))
    assert worst < 0.005
    assert abs(off) < 0.0005, "the loop does not know how fast the clock runs"
