"""The transition table is closed, covers all it must, and is the only way to change a state."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaovm import errors
from gaovm.model import labels, states
from gaovm.model.states import Desired, Event, FirstUp, Observed, Readiness, VmState


def run(*events: Event, start: VmState | None = None) -> VmState:
    state = start or VmState()
    for event in events:
        state = states.apply(state, event)
    return state


UP = (
    Event.UP_ASKED,
    Event.HYPERVISOR_STARTED,
    Event.AGENT_ANSWERED,
    Event.PROVISIONING_BEGAN,
    Event.PROBING_BEGAN,
    Event.BECAME_READY,
)


def test_a_normal_life() -> None:
    up = run(*UP)
    assert up == VmState(
        desired=Desired.RUNNING,
        observed=Observed.RUNNING,
        readiness=Readiness.READY,
        first_up=FirstUp.DONE,
    )
    down = run(Event.STOP_ASKED, Event.STOPPED, start=up)
    assert down == VmState(first_up=FirstUp.DONE)
    assert labels.describe(down)[0] == "stopped"


def test_a_daemon_that_stops_keeps_the_desired_state() -> None:
    state = run(*UP, Event.DAEMON_STOPPING, Event.STOPPED)
    assert (state.desired, state.observed) == (Desired.RUNNING, Observed.STOPPED)


def test_power_off_in_the_guest_makes_stopped_the_desired_state() -> None:
    up = run(*UP)
    event = states.of_report(up, Observed.STOPPED, None, "guest")
    assert event is Event.POWERED_OFF
    assert run(event, start=up).desired is Desired.STOPPED


@pytest.mark.parametrize("reason", [None, "stop", "killed", "of a newer driver"])
def test_only_the_guest_powers_off(reason: str | None) -> None:
    up = run(*UP)
    assert states.of_report(up, Observed.STOPPED, None, reason) is Event.DIED
    assert states.of_report(up, Observed.FAILED, None, "guest") is Event.DIED


def test_a_dead_hypervisor_is_restarted_or_given_up() -> None:
    up = run(*UP)
    event = states.of_report(up, Observed.FAILED, None)
    assert event is Event.DIED
    state = run(Event.RESTART_SCHEDULED, start=up)
    assert (state.desired, state.observed) == (Desired.RUNNING, Observed.BACKOFF)
    word, line = labels.describe(state, error="QEMU died: x\nmore")
    assert (word, line.rpartition(": ")[2]) == ("restarting", "x")
    state = run(Event.UP_ASKED, Event.GAVE_UP, start=state)
    assert (state.desired, state.observed) == (Desired.STOPPED, Observed.FAILED)
    assert labels.describe(state, error="QEMU died: x\nmore") == ("failed", "QEMU died: x")
    assert run(Event.DIED, start=up).desired is Desired.STOPPED


def test_any_end_during_a_stop_counts_as_the_requested_end() -> None:
    stopping = run(*UP, Event.DAEMON_STOPPING)
    for observed in (Observed.STOPPED, Observed.FAILED):
        assert states.of_report(stopping, observed, None) is Event.STOPPED
    assert run(Event.STOPPED, start=stopping).desired is Desired.RUNNING


def test_a_requested_restart_keeps_the_desired_state() -> None:
    state = run(*UP, Event.RESTART_ASKED, Event.STOPPED)
    assert (state.desired, state.observed) == (Desired.RUNNING, Observed.STOPPED)


@pytest.mark.parametrize("last", [Event.START_FAILED, Event.DIED, Event.DEGRADED])
def test_a_failed_first_up_never_looks_stopped(last: Event) -> None:
    state = run(Event.UP_ASKED, Event.HYPERVISOR_STARTED, last)
    assert state.first_up is FirstUp.FAILED
    if state.observed is Observed.RUNNING:
        state = run(Event.STOP_ASKED, Event.STOPPED, start=state)
    assert labels.describe(state)[0] == "first-up-failed"
    assert run(*UP, start=state).first_up is FirstUp.DONE


def test_a_stopped_first_up_has_not_failed() -> None:
    state = run(Event.UP_ASKED, Event.HYPERVISOR_STARTED, Event.AGENT_ANSWERED, Event.STOP_ASKED)
    state = run(Event.STOPPED, start=state)
    assert state.first_up is FirstUp.PENDING
    word, detail = labels.describe(state)
    assert word == "stopped"
    assert "did not finish" in detail
    assert labels.describe(run(*UP, Event.STOP_ASKED, Event.STOPPED)) == ("stopped", "")


def test_a_late_report_changes_nothing() -> None:
    stopped = VmState(first_up=FirstUp.DONE)
    assert states.of_report(stopped, Observed.RUNNING, Readiness.READY) is None
    assert states.of_report(stopped, Observed.STOPPED, None) is None
    with pytest.raises(errors.StateConflict, match="does not apply to a stopped VM"):
        states.apply(stopped, Event.BECAME_READY)


def test_a_later_phase_also_satisfies_a_wait_for_the_agent() -> None:
    state = run(*UP[:4])
    assert states.is_up(state, Readiness.AGENT)
    assert not states.is_up(state, Readiness.READY)
    assert not states.is_up(run(*UP[:2]), Readiness.AGENT)


def test_every_phase_has_a_row_and_every_event_a_meaning() -> None:
    assert set(states.TRANSITIONS) == set(states.PHASES)
    assert set(states.MEANING) == set(Event)
    used = {event for row in states.TRANSITIONS.values() for event in row}
    assert used == set(Event)
    assert {to for row in states.TRANSITIONS.values() for to in row.values()} <= set(states.PHASES)


@given(st.lists(st.sampled_from(Event)))
def test_any_sequence_keeps_the_invariants(events: list[Event]) -> None:
    state = VmState()
    for event in events:
        if not states.allowed(state, event):
            with pytest.raises(errors.StateConflict):
                states.apply(state, event)
            continue
        state = states.apply(state, event)
        assert (state.observed is Observed.RUNNING) == (state.readiness is not None)
        word, _ = labels.describe(state)
        at_rest = state.observed in states.AT_REST
        assert (word == "first-up-failed") == (at_rest and state.first_up is FirstUp.FAILED)
        if state.observed is Observed.FAILED:
            assert state.first_up is not FirstUp.PENDING
