"""The life of a VM: one state, one table of transitions, one writer (``apply``).

A state has four parts: what the user wants (``desired``), what the VM does (``observed``), how far
a running guest has come (``readiness``), and whether the first ``up`` ever succeeded
(``first_up``). ``apply`` refuses an event that the table does not list for the present phase. So a
driver's late or wrong message can never bring a VM into a state that does not exist.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from gaovm import errors


class Desired(StrEnum):
    """What the user last asked for."""

    STOPPED = "stopped"
    RUNNING = "running"


class Observed(StrEnum):
    """What the VM is doing."""

    STOPPED = "stopped"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    FAILED = "failed"
    BACKOFF = "backoff"


class Readiness(StrEnum):
    """How far a running guest has come."""

    BOOTING = "booting"
    AGENT = "agent"
    PROVISIONING = "provisioning"
    PROBING = "probing"
    READY = "ready"
    DEGRADED = "degraded"


class FirstUp(StrEnum):
    """Whether the VM was ever fully up."""

    PENDING = "pending"
    DONE = "done"
    FAILED = "failed"


class Event(StrEnum):
    """Everything that changes a state; the value is the event's name in logs."""

    UP_ASKED = "up asked"
    HYPERVISOR_STARTED = "hypervisor started"
    AGENT_ANSWERED = "agent answered"
    PROVISIONING_BEGAN = "provisioning began"
    PROBING_BEGAN = "probing began"
    BECAME_READY = "became ready"
    DEGRADED = "degraded"
    STOP_ASKED = "stop asked"
    RESTART_ASKED = "restart asked"
    DAEMON_STOPPING = "daemon stopping"
    STOPPED = "stopped"
    POWERED_OFF = "guest powered off"
    START_FAILED = "start failed"
    UP_FAILED = "up failed"
    DIED = "driver or hypervisor died"
    RESTART_SCHEDULED = "restart scheduled"
    GAVE_UP = "given up"
    OLD_DRIVER_SEEN = "old driver still leaving"
    NOTHING_LEFT = "nothing of an earlier daemon left"


#: What each event means, for the generated page.
MEANING: dict[Event, str] = {
    Event.UP_ASKED: "a user or the start-up of the daemon wants the VM to run",
    Event.HYPERVISOR_STARTED: "the hypervisor runs, the guest boots",
    Event.AGENT_ANSWERED: "the agent's first message came",
    Event.PROVISIONING_BEGAN: "user, mounts and scripts are being set up",
    Event.PROBING_BEGAN: "readiness probes run",
    Event.BECAME_READY: "provisioning is done and every probe passed",
    Event.DEGRADED: "a script or probe failed, or the agent was lost; the VM runs on",
    Event.STOP_ASKED: "a user wants the VM stopped, or an `up` was withdrawn",
    Event.RESTART_ASKED: "a user wants the VM stopped and started again",
    Event.DAEMON_STOPPING: "the daemon stops its guests; `desired` stays",
    Event.STOPPED: "the hypervisor and the driver are gone, as asked",
    Event.POWERED_OFF: "the guest switched itself off",
    Event.START_FAILED: "the VM could not be started",
    Event.UP_FAILED: "an `up` ended in an error while the VM runs on",
    Event.DIED: "driver or hypervisor ended without a request; the VM is not started again",
    Event.RESTART_SCHEDULED: "the VM ended without a request; it starts again after a pause",
    Event.GAVE_UP: "the VM ended too often in a row; it is not started again",
    Event.OLD_DRIVER_SEEN: "a new daemon found the driver of an earlier one at work",
    Event.NOTHING_LEFT: "a new daemon found no process of this VM",
}


class VmState(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The state of one VM. ``readiness`` is set exactly while ``observed`` is running."""

    desired: Desired = Desired.STOPPED
    observed: Observed = Observed.STOPPED
    readiness: Readiness | None = None
    first_up: FirstUp = FirstUp.PENDING


Phase = tuple[Observed, Readiness | None]

#: The observed states of a VM without processes.
AT_REST = (Observed.STOPPED, Observed.FAILED, Observed.BACKOFF)

_STOPPED: Phase = (Observed.STOPPED, None)
_STARTING: Phase = (Observed.STARTING, None)
_STOPPING: Phase = (Observed.STOPPING, None)
_FAILED: Phase = (Observed.FAILED, None)
_BACKOFF: Phase = (Observed.BACKOFF, None)
_BOOTING: Phase = (Observed.RUNNING, Readiness.BOOTING)
_AGENT: Phase = (Observed.RUNNING, Readiness.AGENT)
_PROVISIONING: Phase = (Observed.RUNNING, Readiness.PROVISIONING)
_PROBING: Phase = (Observed.RUNNING, Readiness.PROBING)
_READY: Phase = (Observed.RUNNING, Readiness.READY)
_DEGRADED: Phase = (Observed.RUNNING, Readiness.DEGRADED)

#: All phases, in the order of a life.
PHASES: tuple[Phase, ...] = (
    _STOPPED,
    _STARTING,
    _BOOTING,
    _AGENT,
    _PROVISIONING,
    _PROBING,
    _READY,
    _DEGRADED,
    _STOPPING,
    _FAILED,
    _BACKOFF,
)

# Events that a new daemon may report, whatever phase the previous daemon stored.
_NEW_DAEMON: dict[Event, Phase] = {
    Event.OLD_DRIVER_SEEN: _STOPPING,
    Event.NOTHING_LEFT: _STOPPED,
}
# Events that may end any phase in which processes exist.
_ENDINGS: dict[Event, Phase] = {
    Event.STOP_ASKED: _STOPPING,
    Event.RESTART_ASKED: _STOPPING,
    Event.DAEMON_STOPPING: _STOPPING,
    Event.STOPPED: _STOPPED,
    Event.POWERED_OFF: _STOPPED,
    Event.DIED: _FAILED,
    Event.START_FAILED: _FAILED,
    Event.RESTART_SCHEDULED: _BACKOFF,
    Event.GAVE_UP: _FAILED,
    **_NEW_DAEMON,
}
# A running guest may report any later step; after a reboot inside it, it starts again at booting.
_GUEST: dict[Event, Phase] = {
    Event.HYPERVISOR_STARTED: _BOOTING,
    Event.AGENT_ANSWERED: _AGENT,
    Event.PROVISIONING_BEGAN: _PROVISIONING,
    Event.PROBING_BEGAN: _PROBING,
    Event.BECAME_READY: _READY,
    Event.DEGRADED: _DEGRADED,
}

#: Events that a running guest can cause as often as it likes.
OF_GUEST = frozenset(_GUEST)

#: The one table: phase -> event -> next phase.
TRANSITIONS: dict[Phase, dict[Event, Phase]] = {
    _STOPPED: {
        Event.UP_ASKED: _STARTING,
        Event.STOP_ASKED: _STOPPED,
        Event.RESTART_ASKED: _STOPPED,
        Event.STOPPED: _STOPPED,
        **_NEW_DAEMON,
    },
    _STARTING: {**_GUEST, **_ENDINGS},
    **{
        phase: {**_GUEST, **_ENDINGS, Event.UP_ASKED: phase, Event.UP_FAILED: phase}
        for phase in (_BOOTING, _AGENT, _PROVISIONING, _PROBING, _READY, _DEGRADED)
    },
    _STOPPING: {
        Event.STOP_ASKED: _STOPPING,
        Event.RESTART_ASKED: _STOPPING,
        Event.DAEMON_STOPPING: _STOPPING,
        Event.STOPPED: _STOPPED,
        **_NEW_DAEMON,
    },
    _FAILED: {
        Event.UP_ASKED: _STARTING,
        Event.START_FAILED: _FAILED,
        Event.STOP_ASKED: _STOPPED,
        Event.RESTART_ASKED: _STOPPED,
        Event.STOPPED: _STOPPED,
        Event.OLD_DRIVER_SEEN: _STOPPING,
        Event.NOTHING_LEFT: _FAILED,
    },
    _BACKOFF: {
        Event.UP_ASKED: _STARTING,
        Event.STOP_ASKED: _STOPPED,
        Event.RESTART_ASKED: _STOPPED,
        **_NEW_DAEMON,
    },
}

#: The desired state after an event; events not listed do not change it.
DESIRES: dict[Event, Desired] = {
    Event.UP_ASKED: Desired.RUNNING,
    Event.STOP_ASKED: Desired.STOPPED,
    Event.POWERED_OFF: Desired.STOPPED,
    Event.RESTART_ASKED: Desired.RUNNING,
    Event.RESTART_SCHEDULED: Desired.RUNNING,
    Event.START_FAILED: Desired.STOPPED,
    Event.DIED: Desired.STOPPED,
    Event.GAVE_UP: Desired.STOPPED,
}

#: ``first_up`` after an event; pairs not listed do not change it.
FIRST_UPS: dict[tuple[FirstUp, Event], FirstUp] = {
    (FirstUp.FAILED, Event.UP_ASKED): FirstUp.PENDING,
    (FirstUp.PENDING, Event.BECAME_READY): FirstUp.DONE,
    (FirstUp.FAILED, Event.BECAME_READY): FirstUp.DONE,
    (FirstUp.PENDING, Event.START_FAILED): FirstUp.FAILED,
    (FirstUp.PENDING, Event.UP_FAILED): FirstUp.FAILED,
    (FirstUp.PENDING, Event.DEGRADED): FirstUp.FAILED,
    (FirstUp.PENDING, Event.POWERED_OFF): FirstUp.FAILED,
    (FirstUp.PENDING, Event.DIED): FirstUp.FAILED,
    (FirstUp.PENDING, Event.GAVE_UP): FirstUp.FAILED,
}

_BY_READINESS = {
    Readiness.BOOTING: Event.HYPERVISOR_STARTED,
    Readiness.AGENT: Event.AGENT_ANSWERED,
    Readiness.PROVISIONING: Event.PROVISIONING_BEGAN,
    Readiness.PROBING: Event.PROBING_BEGAN,
    Readiness.READY: Event.BECAME_READY,
    Readiness.DEGRADED: Event.DEGRADED,
}


def apply(state: VmState, event: Event) -> VmState:
    """Return the state after an event.

    Raises:
        errors.StateConflict: the table has no such transition; the state stays as it was.
    """
    phase = TRANSITIONS[state.observed, state.readiness].get(event)
    if phase is None:
        where = state.readiness or state.observed
        raise errors.StateConflict(f"event {event.value!r} does not apply to a {where} VM")
    observed, readiness = phase
    return VmState(
        desired=DESIRES.get(event, state.desired),
        observed=observed,
        readiness=readiness,
        first_up=FIRST_UPS.get((state.first_up, event), state.first_up),
    )


def allowed(state: VmState, event: Event) -> bool:
    """Return whether ``apply`` would accept the event now."""
    return event in TRANSITIONS[state.observed, state.readiness]


#: The reason in a driver's last report when the guest powered itself off.
BY_GUEST = "guest"


def of_report(
    state: VmState, observed: Observed, readiness: Readiness | None, reason: str | None = None
) -> Event | None:
    """Return the event that a driver's report means, or None when it says nothing new.

    When a VM stops without a request, it has powered itself off only if the driver says so
    (``BY_GUEST``). A driver that ends for a reason of its own stops its VM as well; that VM counts
    as died, like a VM that the driver reports as failed. During a requested stop, every end counts
    as the requested one.
    """
    if observed is Observed.RUNNING:
        event = _BY_READINESS[readiness or Readiness.BOOTING]
        return event if allowed(state, event) else None
    if state.observed in AT_REST or observed not in (Observed.FAILED, Observed.STOPPED):
        return None
    if state.observed is Observed.STOPPING:
        return Event.STOPPED
    powered_off = observed is Observed.STOPPED and reason == BY_GUEST
    return Event.POWERED_OFF if powered_off else Event.DIED


def is_up(state: VmState, wait: Readiness) -> bool:
    """Return whether a waiting ``up`` is done; a later step than ``agent`` satisfies it, too."""
    if state.readiness is None or state.readiness is Readiness.BOOTING:
        return False
    return wait is not Readiness.READY or state.readiness is Readiness.READY
