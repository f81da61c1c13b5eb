"""Decide whether and when to restart a VM that has ended. Pure, like the state table.

The daemon's supervisor passes in what happened and carries out the decision. The numbers come from
the GaoVM contract: at most 5 attempts, pauses of 1, 2, 4, 8, 16 s (at most 30 s), never more than 5
restarts in 5 minutes; then the daemon gives the VM up.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from gaovm.spec.supervision import Restart

#: The second limit, for a VM that always runs just long enough to count as stable.
WINDOW_S = 300.0
WINDOW_LIMIT = 5
#: Pauses vary by this fraction, so that VMs that died together do not start together.
JITTER = 0.1


class Ending(StrEnum):
    """How a VM ended without a request."""

    DIED = "died"
    POWERED_OFF = "powered off"
    START_FAILED = "start failed"


class History(msgspec.Struct, frozen=True, kw_only=True):
    """The restarts of a VM. ``recent`` holds the times of the decisions, ``due_at`` the time of the
    next start, both in seconds since 1970."""

    attempts: int = 0
    recent: tuple[float, ...] = ()
    due_at: float | None = None


class Again(msgspec.Struct, frozen=True, kw_only=True):
    """Restart the VM after ``delay_s``; ``nominal_s`` is the pause without jitter."""

    history: History
    delay_s: float
    nominal_s: float


class GiveUp(msgspec.Struct, frozen=True, kw_only=True):
    """The VM ended too often: its desired state becomes stopped and its observed state failed.

    ``window``: the second limit decided this, not the number of attempts in a row.
    """

    attempts: int
    window: bool = False


class Rest(msgspec.Struct, frozen=True, kw_only=True):
    """The policy does not restart after such an end; the desired state becomes stopped."""


Decision = Again | GiveUp | Rest


def backoff_s(attempt: int, max_delay_s: float) -> float:
    """Return the pause before attempt n (from 1): 1, 2, 4, 8, 16 s …, at most ``max_delay_s``."""
    return float(min(2.0 ** min(attempt - 1, 32), max_delay_s))


def decide(
    policy: Restart, history: History, ending: Ending, *, ran_s: float, now: float, chance: float
) -> Decision:
    """Decide what follows an end that nobody requested.

    ``ran_s`` is how long the VM ran, ``now`` is in seconds since 1970, and ``chance`` is a random
    number from 0 to 1 for the jitter.
    """
    if policy.policy == "never" or (ending is Ending.POWERED_OFF and policy.policy == "on-failure"):
        return Rest()
    attempts = 0 if ran_s >= policy.stable_s else history.attempts
    recent = tuple(at for at in history.recent if 0 <= now - at < WINDOW_S)
    if attempts >= policy.max_attempts:
        return GiveUp(attempts=attempts)
    if len(recent) >= max(WINDOW_LIMIT, policy.max_attempts):
        return GiveUp(attempts=len(recent), window=True)
    nominal_s = backoff_s(attempts + 1, policy.max_delay_s)
    delay_s = min(nominal_s * (1 + JITTER * (2 * chance - 1)), policy.max_delay_s)
    after = History(attempts=attempts + 1, recent=(*recent, now), due_at=now + delay_s)
    return Again(history=after, delay_s=delay_s, nominal_s=nominal_s)
