"""A guest that says nothing: when to ask why, what the user reads, and when a signal ends us.

Holds no descriptor and no timer: the loop of a session asks ``due_ms`` how long it may wait.
"""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from gaovm.client import inquiry

# with the time an inquiry may take (``inquiry.LIMIT_S``) both stay below 2 s
PATIENCE_S = 1.0
LEAVE_AFTER_S = 0.9


class Verdict:
    """What follows from a silence: a line for the user, and a status when the session ends."""

    __slots__ = ("status", "text")

    def __init__(self, text: str = "", status: int | None = None) -> None:
        self.text = text
        self.status = status


class Watch:
    """The silence of one session; ``ask`` finds out why, without one nobody watches."""

    def __init__(
        self, ask: Callable[[], inquiry.Finding] | None, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._ask = ask
        self._now = now
        self._due: float | None = None
        self._asked = False
        self._signal = 0

    def sent(self) -> None:
        """Something that is usually answered went to the guest."""
        if self._ask is not None and self._due is None and not self._asked:
            self._due = self._now() + PATIENCE_S

    def signalled(self, number: int) -> None:
        """A signal that ends commands went to the guest: one that is not heard ends us."""
        if self._ask is not None:
            due = self._now() + LEAVE_AFTER_S
            self._due = due if self._due is None else min(self._due, due)
            self._signal = number

    def heard(self) -> None:
        """Something came from the guest."""
        self._due, self._asked, self._signal = None, False, 0

    def due_ms(self) -> float | None:
        """Milliseconds until ``look`` has something to do; None: nothing is waited for."""
        return None if self._due is None else max(0.0, self._due - self._now()) * 1000

    def look(self) -> Verdict:
        """Ask once the patience is over. Blocks for up to ``inquiry.LIMIT_S`` then."""
        if self._ask is None or self._due is None or self._now() < self._due:
            return Verdict()
        found, number = self._ask(), self._signal
        self._due, self._asked, self._signal = None, True, 0
        if found.answers:
            return Verdict()  # the command is silent, the guest is not
        return Verdict(found.why, 128 + number if number else None)
