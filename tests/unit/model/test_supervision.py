"""Restart decisions: the contract's numbers, and what no history may lead to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaovm.model.supervision import (
    WINDOW_LIMIT,
    WINDOW_S,
    Again,
    Ending,
    GiveUp,
    History,
    Rest,
    backoff_s,
    decide,
)
from gaovm.spec.supervision import Restart

NUMBERS = json.loads(
    (Path(__file__).parents[2] / "data" / "gaovm" / "v1.2-vectors.json").read_text()
)["supervision"]


def after(history: History, ending: Ending = Ending.DIED, **more: float) -> object:
    values = {"ran_s": 1.0, "now": 1000.0, "chance": 0.5, **more}
    return decide(Restart(), history, ending, **values)


def test_the_numbers_of_the_contract() -> None:
    delays = [backoff_s(n, Restart().max_delay_s) for n in range(1, 6)]
    assert delays == NUMBERS["backoff_seconds"]
    assert backoff_s(6, 30) == backoff_s(500, 30) == 30
    assert Restart().max_attempts == NUMBERS["max_attempts"]
    assert NUMBERS["window"] == {"limit": WINDOW_LIMIT, "seconds": WINDOW_S}


def test_it_gives_up_after_five_attempts() -> None:
    history, delays = History(), []
    for number in range(5):
        decision = after(history, now=1000.0 + number)
        assert isinstance(decision, Again)
        delays.append(decision.delay_s)
        history = decision.history
    assert delays == [1, 2, 4, 8, 16]
    assert after(history) == GiveUp(attempts=5)


def test_a_stable_minute_resets_the_count() -> None:
    decision = after(History(attempts=5), ran_s=60.0)
    assert isinstance(decision, Again)
    assert decision.history.attempts == 1
    assert after(History(attempts=5), ran_s=59.9) == GiveUp(attempts=5)


def test_the_window_counts_even_stable_runs() -> None:
    recent = (900.0, 910.0, 920.0, 930.0, 940.0)
    assert after(History(recent=recent), ran_s=60) == GiveUp(attempts=5, window=True)
    assert isinstance(after(History(recent=recent), ran_s=60, now=1200.0), Again)
    assert isinstance(after(History(recent=recent), ran_s=60, now=100.0), Again), (
        "the clock was set back"
    )


@pytest.mark.parametrize(
    ("policy", "ending", "again"),
    [
        ("always", Ending.DIED, True),
        ("always", Ending.POWERED_OFF, True),
        ("on-failure", Ending.DIED, True),
        ("on-failure", Ending.START_FAILED, True),
        ("on-failure", Ending.POWERED_OFF, False),
        ("never", Ending.DIED, False),
        ("never", Ending.POWERED_OFF, False),
    ],
)
def test_policies(policy: str, ending: Ending, again: bool) -> None:
    wanted = Restart(policy=policy)  # type: ignore[arg-type]
    decision = decide(wanted, History(), ending, ran_s=1, now=0, chance=0.5)
    assert isinstance(decision, Again if again else Rest)


@given(
    attempts=st.integers(0, 4),
    chance=st.floats(0, 1),
    cap=st.floats(0, 100),
    ran_s=st.floats(0, 1e6),
    now=st.floats(0, 1e10),
)
def test_pauses_stay_within_their_limits(
    attempts: int, chance: float, cap: float, ran_s: float, now: float
) -> None:
    policy = Restart(max_delay_s=cap)
    history = History(attempts=attempts)
    decision = decide(policy, history, Ending.DIED, ran_s=ran_s, now=now, chance=chance)
    assert isinstance(decision, Again)
    assert 0 <= decision.delay_s <= cap
    assert abs(decision.delay_s - decision.nominal_s) <= 0.1 * decision.nominal_s + 1e-9
    assert 1 <= decision.history.attempts <= attempts + 1
    assert decision.history.due_at == now + decision.delay_s
