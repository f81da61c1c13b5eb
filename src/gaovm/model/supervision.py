"""When a VM that has ended is started again: a decision over data. Pure, like the state table.

The shell (``daemon.supervisor``) feeds what happened and does what is decided. The numbers are
those of the GaoVM contract: at most 5 attempts, pauses of 1, 2, 4, 8, 16 s capped at 30, never more
than 5 restarts in 5 minutes, then the VM is given up.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from gaovm.spec.supervision import Restart

#: The second limiter, for a VM that always lives just long enough to count as stable.
WINDOW_S = 300.0
WINDOW_LIMIT = 5
#: Pauses vary by this share, so that VMs that died together do not start together.
JITTER = 0.1


class Ending(StrEnum):
    """How a VM came to its end although nobody asked."""

    DIED = "died"
    POWERED_OFF = "powered off"
    START_FAILED = "start failed"


class History(msgspec.Struct, frozen=True, kw_only=True):
    """The restarts of a VM. ``recent``: when they were decided, ``due_at``: when the next start
    is due, both in seconds since 1970."""

    attempts: int = 0
    recent: tuple[float, ...] = ()
    due_at: float | None = None


class Again(msgspec.Struct, frozen=True, kw_only=True):
    """Start it again after ``delay_s``; ``nominal_s`` is the pause without jitter."""

    history: History
    delay_s: float
    nominal_s: float


class GiveUp(msgspec.Struct, frozen=True, kw_only=True):
    """Too often: what is wanted becomes stopped, the VM is marked failed.

    ``window``: the second limiter said so, not the attempts in a row.
    """

    attempts: int
    window: bool = False


class Rest(msgspec.Struct, frozen=True, kw_only=True):
    """The policy does not restart after such an end; what is wanted becomes stopped."""


Decision = Again | GiveUp | Rest


def backoff_s(attempt: int, max_delay_s: float) -> float:
    """The pause before attempt n, from 1: 1, 2, 4, 8, 16 s and so on, at most ``max_delay_s``."""
    return float(min(2.0 ** min(attempt - 1, 32), max_delay_s))


def decide(
    policy: Restart, history: History, ending: Ending, *, ran_s: float, now: float, chance: float
) -> Decision:
    """What follows an end that nobody asked for.

    ``ran_s``: how long the VM had run; ``now``: seconds since 1970; ``chance``: a random number
    from 0 to 1 for the jitter.
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
