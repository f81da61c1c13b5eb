"""When the driver checks the guest's clock: regularly, and at once after a jump."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from gaovm import errors
from gaovm.driver.guest.timekeeping import Timekeeper
from gaovm.guestmanager import clock
from gaovm.guestmanager.clock import Reading
from gaovm.guestmanager.transport.connection import Connection
from gaovm.wire.agent.clock import Correction

MS = 1_000_000
NOBODY = cast("Connection", None)


class Guest:
    """A guest's clock, through ``measure`` and ``correct``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, off_ns: int) -> None:
        self.off_ns = off_ns
        self.corrections: list[Correction] = []
        self.corrected = asyncio.Event()
        monkeypatch.setattr(clock, "measure", self.measure)
        monkeypatch.setattr(clock, "correct", self.correct)

    async def measure(self, connection: Connection) -> Reading:
        return Reading(self.off_ns, MS // 4)

    async def correct(self, connection: Connection, correction: Correction) -> None:
        self.off_ns += correction.offset_ns
        self.corrections.append(correction)
        self.corrected.set()


async def test_a_clock_is_set_and_measured_again(monkeypatch: pytest.MonkeyPatch) -> None:
    guest = Guest(monkeypatch, -150 * MS)
    await Timekeeper().set(NOBODY)
    assert [c.step for c in guest.corrections] == [True, False]
    assert guest.off_ns == 0


async def test_a_jump_is_corrected_without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    guest, keeper = Guest(monkeypatch, 0), Timekeeper()
    keeping = asyncio.create_task(keeper.keep(NOBODY))
    await guest.corrected.wait()
    guest.corrected.clear()
    guest.off_ns = -3_600_000 * MS  # the host has slept for an hour
    keeper.jump()
    await guest.corrected.wait()
    keeping.cancel()
    await asyncio.wait([keeping])
    assert Correction(offset_ns=3_600_000 * MS, step=True) in guest.corrections


async def test_a_small_difference_is_corrected_by_slewing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "FIRST_PAUSE_S", 0.0)
    guest, keeper = Guest(monkeypatch, 0), Timekeeper()
    keeping = asyncio.create_task(keeper.keep(NOBODY))
    await guest.corrected.wait()
    guest.off_ns = 3 * MS
    while guest.off_ns:
        guest.corrected.clear()
        await guest.corrected.wait()
    keeping.cancel()
    await asyncio.wait([keeping])
    assert not any(correction.step for correction in guest.corrections)


async def test_an_agent_without_a_clock_call_gets_no_corrections(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def refuse(connection: Connection) -> Reading:
        raise errors.GuestCallFailed("no such call")

    monkeypatch.setattr(clock, "measure", refuse)
    await Timekeeper().keep(NOBODY)
