"""The guest's clock: how far it is from ours, and how it comes back.

As NTP does it: the guest's time is asked for several times, and the exchange that took least says
most, for it cannot be wrong by more than half of what it took. What is far off is set by the
difference, so the time that the order takes does not matter; what is near is slewed by the guest
kernel's own loop, which learns how fast the guest's clock runs. No I/O but through the connection.
"""

from __future__ import annotations

from typing import NamedTuple

from gaovm.aio import clock
from gaovm.guestmanager import calls
from gaovm.guestmanager.connection import Connection
from gaovm.wire.agent import table
from gaovm.wire.agent.clock import Correction

EXCHANGES = 8
CALL_LIMIT_S = 5.0
#: From here on a clock is set. Below it time neither jumps nor runs backwards in the guest.
STEP_NS = 1_000_000
#: A running guest is slewed up to this: its programs have seen the time.
SLEW_NS = 50_000_000
#: What an exchange that took longer than this says is no reason to slew.
MAX_ROUND_TRIP_NS = 20_000_000
FIRST_PAUSE_S, SHORTEST_PAUSE_S, LONGEST_PAUSE_S = 4.0, 16.0, 64.0
#: Within this the clock is left alone for longer each time.
STEADY_NS = 500_000
#: The kernel's loop is made for 16 s between two corrections; each doubling takes one more.
_PAUSES_OF_CONSTANT = (16.0, 32.0, 64.0)


class Reading(NamedTuple):
    """The guest's clock is ``offset_ns`` ahead of ours (below 0: behind), ± half the round trip."""

    offset_ns: int
    round_trip_ns: int


async def measure(connection: Connection, exchanges: int = EXCHANGES) -> Reading:
    """How far the guest's clock is from ours now.

    Raises:
        errors.GuestCallFailed: an agent that is too old to be asked.
        errors.GuestUnavailable, errors.GuestProtocolError: no answer, or none that fits.
    """
    best: Reading | None = None
    for _ in range(exchanges):
        began, wall = clock.monotonic_ns(), clock.now_ns()  # the round trip is around all of it
        guest = await calls.call(connection, table.CLOCK, limit_s=CALL_LIMIT_S)
        took = clock.monotonic_ns() - began
        if best is None or took < best.round_trip_ns:
            best = Reading(guest.unix_ns - wall - took // 2, took)
    return best or Reading(0, 0)


async def correct(connection: Connection, correction: Correction) -> None:
    """Let the guest correct its clock. Raises as ``measure``."""
    await calls.call(connection, table.CORRECT_CLOCK, correction, limit_s=CALL_LIMIT_S)


class Discipline:
    """Decides what a reading leads to, and when the next one is due.

    ``unseen`` is true when the guest's programs cannot have relied on its clock: at boot, and after
    a pause or a jump of ours. It is set then, for less than what is slewed otherwise.
    """

    def __init__(self) -> None:
        self.pause_s = FIRST_PAUSE_S

    def restart(self) -> None:
        """The clock has jumped: it is watched closely again."""
        self.pause_s = FIRST_PAUSE_S

    def decide(self, reading: Reading, *, unseen: bool) -> Correction | None:
        """The correction for a reading; None for one that says too little."""
        off, doubt = abs(reading.offset_ns), reading.round_trip_ns // 2
        if off >= (STEP_NS if unseen else SLEW_NS) and off > doubt:
            return Correction(offset_ns=-reading.offset_ns, step=True)
        if reading.round_trip_ns > MAX_ROUND_TRIP_NS:
            return None
        constant = sum(self.pause_s >= pause for pause in _PAUSES_OF_CONSTANT[1:])
        self._pace(off)
        return Correction(offset_ns=-reading.offset_ns, step=False, constant=constant)

    def _pace(self, off_ns: int) -> None:
        if self.pause_s < SHORTEST_PAUSE_S or off_ns <= STEADY_NS:
            self.pause_s = min(self.pause_s * 2, LONGEST_PAUSE_S)
        else:
            self.pause_s = SHORTEST_PAUSE_S
