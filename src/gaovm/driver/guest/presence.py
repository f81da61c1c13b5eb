"""Whether the agent is there and answers: its heartbeat, and the report when it falls silent.

The driver does not report a short loss: a guest that powers off loses its agent too, and an agent
that was restarted connects again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gaovm import errors
from gaovm.driver.guest.readiness import Readiness
from gaovm.driver.status import Status
from gaovm.guestmanager.transport.connection import Connection
from gaovm.spec.supervision import Watchdog

PING_EVERY_S = 10.0
LOST_GRACE_S = 2.0


class Presence:
    """The presence of one guest's agent; ``drop`` ends a connection that is dead."""

    def __init__(
        self,
        watchdog: Watchdog,
        status: Status,
        readiness: Readiness,
        drop: Callable[[str], None],
    ) -> None:
        self._watchdog, self._status, self._readiness = watchdog, status, readiness
        self._drop = drop
        self._timer: asyncio.TimerHandle | None = None
        #: False after the driver has reported the agent's silence.
        self.answers = True

    def lost(self, error: errors.GaoError) -> None:
        """Note that connection or port is gone; report it unless it returns within the grace."""
        if self._status.observed == "running" and self._timer is None:
            # A guest that powers off loses its agent too: its end is reported within the grace.
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(LOST_GRACE_S, self._tell_lost, error)

    def forget(self) -> None:
        """Drop a loss that waits to be reported. Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def back(self) -> None:
        """Note that the agent is connected."""
        if not self.answers:
            self.answers = True
            self._tell("responsive", "the agent is connected again")

    async def watch(self, connection: Connection) -> None:
        """Ask the agent for an answer regularly, until the connection ends."""
        if not self._watchdog.heartbeat:
            return
        every_s = min(PING_EVERY_S, self._watchdog.timeout_s / 3)
        limit_s = self._watchdog.timeout_s - every_s
        while True:
            await asyncio.sleep(every_s)
            pauses = self._status.pauses
            try:
                await connection.ping(limit_s)
            except TimeoutError:
                if pauses == self._status.pauses and not self._status.paused:
                    error = errors.GuestUnavailable(
                        f"the agent did not answer within {self._watchdog.timeout_s} s"
                    )
                    self._set_answers(False, "unresponsive", error)
            except errors.GaoError:
                return
            else:
                self._set_answers(True)

    def _tell_lost(self, error: errors.GaoError) -> None:
        self._timer = None
        self._drop(error.message)  # a port that the agent closed and did not open again
        self.forget()  # to drop a connection is a loss too
        self._readiness.tell("degraded", error, "agent_lost")
        # The guest decides whether the agent comes back: a power-off may take its time.
        self._await_silent(self._watchdog.timeout_s - LOST_GRACE_S, error)

    def _await_silent(self, wait_s: float, error: errors.GaoError) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(wait_s, self._tell_silent, error)

    def _tell_silent(self, error: errors.GaoError) -> None:
        if self._status.paused:  # a paused guest cannot come back
            self._await_silent(PING_EVERY_S, error)
        else:
            self._set_answers(False, "agent_lost", error)

    def _set_answers(
        self, answers: bool, reason: str | None = None, error: errors.GaoError | None = None
    ) -> None:
        if answers == self.answers:
            return
        self.answers = answers
        if error is not None:
            self._tell("unresponsive", error.message)
            self._readiness.tell("degraded", error, reason)
        else:
            self._tell("responsive", "the agent answers again")
            self._readiness.tell_again()

    def _tell(self, kind: str, detail: str) -> None:
        if self._watchdog.heartbeat:
            self._status.health(kind, detail)
