"""The guest's clock: how to measure its distance from ours, and how to correct it.

As in NTP, ``measure`` asks for the guest's time several times and takes the fastest exchange, which
is wrong by at most half of its round trip. A clock that is far off is stepped by the difference, so
it does not matter how long the request takes. A clock that is near is slewed by the guest kernel's
own loop, which learns how fast the guest's clock runs. All I/O goes through the connection.
"""

from __future__ import annotations

from typing import NamedTuple

from gaovm.aio import clock
from gaovm.guestmanager import calls
from gaovm.guestmanager.transport.connection import Connection
from gaovm.wire.agent import table
from gaovm.wire.agent.clock import Correction

EXCHANGES = 8
CALL_LIMIT_S = 5.0
#: A clock that nobody has relied on is stepped from this distance on.
STEP_NS = 1_000_000
#: A clock that programs rely on is slewed up to this distance, so that time does not jump for them.
SLEW_NS = 50_000_000
#: An exchange that takes longer than this is too inexact for a slew.
MAX_ROUND_TRIP_NS = 20_000_000
FIRST_PAUSE_S, SHORTEST_PAUSE_S, LONGEST_PAUSE_S = 4.0, 16.0, 64.0
#: While the clock stays within this, the pauses between readings double.
STEADY_NS = 500_000
#: The pauses for the time constants 0, 1 and 2 of the kernel's loop. At 0 the loop expects a
#: correction every 16 s; each doubling of the pause adds 1.
_PAUSES_OF_CONSTANT = (16.0, 32.0, 64.0)


class Reading(NamedTuple):
    """The guest's clock is ``offset_ns`` ahead of ours (below 0: behind), ± half the round trip."""

    offset_ns: int
    round_trip_ns: int


async def measure(connection: Connection, exchanges: int = EXCHANGES) -> Reading:
    """Measure how far the guest's clock is from ours now.

    Raises:
        errors.GuestCallFailed: the agent is too old for this call.
        errors.GuestUnavailable, errors.GuestProtocolError: the agent gave no valid answer.
    """
    best: Reading | None = None
    for _ in range(exchanges):
        began, wall = clock.monotonic_ns(), clock.now_ns()  # the round trip includes both readings
        guest = await calls.call(connection, table.CLOCK, limit_s=CALL_LIMIT_S)
        took = clock.monotonic_ns() - began
        if best is None or took < best.round_trip_ns:
            best = Reading(guest.unix_ns - wall - took // 2, took)
    return best or Reading(0, 0)


async def correct(connection: Connection, correction: Correction) -> None:
    """Let the guest correct its clock. Raises the same errors as ``measure``."""
    await calls.call(connection, table.CORRECT_CLOCK, correction, limit_s=CALL_LIMIT_S)


class Discipline:
    """Decides the correction for each reading, and when the next reading is due.

    ``unseen`` is true when the guest's programs cannot have relied on its clock: at boot, and after
    a pause or a jump of ours. The clock is then stepped from ``STEP_NS`` on, else from ``SLEW_NS``.
    """

    def __init__(self) -> None:
        self.pause_s = FIRST_PAUSE_S

    def restart(self) -> None:
        """Start with short pauses again, because the clock has jumped."""
        self.pause_s = FIRST_PAUSE_S

    def decide(self, reading: Reading, *, unseen: bool) -> Correction | None:
        """Return the correction for a reading, or None when the reading is too inexact."""
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
