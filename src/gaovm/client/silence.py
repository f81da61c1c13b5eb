"""Handle a silent guest: when to ask why, what the user reads, when a signal ends the session.

This module holds no descriptor and no timer: a session's loop asks ``due_ms`` how long to wait.
"""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from gaovm.client import inquiry

# each of the two plus the longest inquiry (``inquiry.LIMIT_S``) stays below 2 s
PATIENCE_S = 1.0
LEAVE_AFTER_S = 0.9


class Verdict:
    """The result of a look: a line for the user, and the exit status if the session must end."""

    __slots__ = ("status", "text")

    def __init__(self, text: str = "", status: int | None = None) -> None:
        self.text = text
        self.status = status


class Watch:
    """Watch one session for silence. ``ask`` finds out the reason; None turns the watch off."""

    def __init__(
        self, ask: Callable[[], inquiry.Finding] | None, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._ask = ask
        self._now = now
        self._due: float | None = None
        self._asked = False
        self._signal = 0

    def sent(self) -> None:
        """Note that the session sent the guest something that a guest usually answers."""
        if self._ask is not None and self._due is None and not self._asked:
            self._due = self._now() + PATIENCE_S

    def signalled(self, number: int) -> None:
        """Note a signal that ends commands: if the guest does not react, the session ends."""
        if self._ask is not None:
            due = self._now() + LEAVE_AFTER_S
            self._due = due if self._due is None else min(self._due, due)
            self._signal = number

    def heard(self) -> None:
        """Note that the guest sent something."""
        self._due, self._asked, self._signal = None, False, 0

    def due_ms(self) -> float | None:
        """Return the milliseconds until ``look`` is due; None when no answer is expected."""
        return None if self._due is None else max(0.0, self._due - self._now()) * 1000

    def look(self) -> Verdict:
        """Ask for the reason once the wait is over. This blocks for up to ``inquiry.LIMIT_S``."""
        if self._ask is None or self._due is None or self._now() < self._due:
            return Verdict()
        found, number = self._ask(), self._signal
        self._due, self._asked, self._signal = None, True, 0
        if found.answers:
            return Verdict()  # the command is silent, the guest is not
        return Verdict(found.why, 128 + number if number else None)
