"""Keep the guest's clock on ours: at boot, all the time, and at once after a pause or a jump.

A pause stops the guest's clock, and so does a host that sleeps; the kernel reports the latter.
"""

from __future__ import annotations

import asyncio
import logging

from gaovm import errors
from gaovm.guestmanager import clock
from gaovm.guestmanager.transport.connection import Connection
from gaovm.platform import jumps

logger = logging.getLogger(__name__)
#: After the driver sets a clock, it measures again: the exchange before may have been slow.
SETTINGS = 3


class Timekeeper:
    """The clock of one guest, over all connections of its agent."""

    def __init__(self) -> None:
        self._discipline = clock.Discipline()
        self._jumped = asyncio.Event()
        self._lock = asyncio.Lock()
        self._jumps: jumps.Jumps | None = None

    def open(self) -> None:
        """Begin to listen for jumps of the host's clock."""
        try:
            self._jumps = jumps.Jumps(self.jump)
        except errors.HostError as exc:
            logger.info("the guest's clock follows ours only every so often: %s", exc.message)

    def close(self) -> None:
        """Stop listening. Idempotent."""
        if self._jumps is not None:
            self._jumps.close()
            self._jumps = None

    def jump(self) -> None:
        """Make ``keep`` look at once: our clock, or the guest's, has jumped."""
        self._jumped.set()

    async def set(self, connection: Connection) -> None:
        """Set the guest's clock to ours now, unless it is close already.

        Raises as ``clock.measure``.
        """
        async with self._lock:
            self._discipline.restart()
            for _ in range(SETTINGS):
                reading = await clock.measure(connection)
                correction = self._discipline.decide(reading, unseen=True)
                if correction is None:
                    continue
                await clock.correct(connection, correction)
                if not correction.step:
                    return
                logger.debug("the guest's clock was off by %.1f ms", reading.offset_ns / 1e6)

    async def keep(self, connection: Connection) -> None:
        """Keep the guest's clock on ours until the connection ends or the task is cancelled."""
        try:
            await self.set(connection)
            while True:
                if await self._pause():
                    await self.set(connection)
                else:
                    await self._follow(connection)
        except errors.GuestCallFailed as exc:
            logger.info("the guest's clock is no longer corrected: %s", exc.message)
        except errors.GaoError as exc:
            logger.debug("the guest's clock: %s", exc.message)

    async def _pause(self) -> bool:
        """Wait for the next look; true if a jump came first."""
        try:
            async with asyncio.timeout(self._discipline.pause_s):
                await self._jumped.wait()
        except TimeoutError:
            return False
        self._jumped.clear()
        return True

    async def _follow(self, connection: Connection) -> None:
        async with self._lock:
            reading = await clock.measure(connection)
            correction = self._discipline.decide(reading, unseen=False)
            if correction is not None:
                await clock.correct(connection, correction)
