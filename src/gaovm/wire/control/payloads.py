"""What each type of event carries: one struct per type, listed in ``PAYLOADS``.

A field that is added later has a default, so that a client reads the events of older daemons too.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec

from gaovm.model.states import Desired, FirstUp, Observed, Readiness
from gaovm.wire.control.events import Event
from gaovm.wire.control.process import Recovered, Upgraded


class Payload(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The base of all payloads. ``TYPE`` is the event's type."""

    TYPE: ClassVar[str]


class DaemonStarted(Payload, frozen=True, kw_only=True):
    """A daemon has started."""

    TYPE = "daemon.started"
    pid: int


class DaemonUpgraded(Upgraded, Payload, frozen=True, kw_only=True):
    """Newer code has taken over in the daemon's process."""

    TYPE = "daemon.upgraded"


class StateRecovered(Recovered, Payload, frozen=True, kw_only=True):
    """The daemon lost its database and restored the copy."""

    TYPE = "state.recovered"


class StateRowQuarantined(Payload, frozen=True, kw_only=True):
    """The daemon set aside a VM's row that it cannot read; ``restored``: from the copy."""

    TYPE = "state.row_quarantined"
    reason: str
    restored: bool


class DriftMended(Payload, frozen=True, kw_only=True):
    """The daemon corrected a difference that no event explains; ``what`` describes it."""

    TYPE = "drift.mended"
    what: str


class EventsSuppressed(Payload, frozen=True, kw_only=True):
    """The daemon left out events that the guest brought about too often: how many of each type."""

    TYPE = "events.suppressed"
    count: int
    types: dict[str, int]


class VmCreated(Payload, frozen=True, kw_only=True):
    """An ``up`` made a VM for this project directory."""

    TYPE = "vm.created"
    project: str


class VmRemoved(Payload, frozen=True, kw_only=True):
    """The VM and everything of it is removed."""

    TYPE = "vm.removed"


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """An error in short."""

    code: str
    message: str


class VmState(Payload, frozen=True, kw_only=True):
    """The VM's state has changed; ``event`` is the transition."""

    TYPE = "vm.state"
    event: str
    desired: Desired
    observed: Observed
    readiness: Readiness | None
    first_up: FirstUp
    state: str
    error: Reason | None = None


class _Detail(Payload, frozen=True, kw_only=True):
    detail: str


class VmPaused(_Detail, frozen=True, kw_only=True):
    """The guest is paused. ``detail``: ``asked``, ``io_error`` (the host could not write its
    disk) or ``panic``."""

    TYPE = "vm.paused"


class VmResumed(_Detail, frozen=True, kw_only=True):
    """The guest goes on."""

    TYPE = "vm.resumed"


class GuestWatchdog(_Detail, frozen=True, kw_only=True):
    """Nobody in the guest fed the watchdog device in time."""

    TYPE = "guest.watchdog"


class GuestPanicked(_Detail, frozen=True, kw_only=True):
    """The guest's kernel panicked."""

    TYPE = "guest.panicked"


class GuestUnresponsive(_Detail, frozen=True, kw_only=True):
    """The guest's agent answered nothing for the watchdog's timeout."""

    TYPE = "guest.unresponsive"


class GuestResponsive(_Detail, frozen=True, kw_only=True):
    """The guest's agent answers again."""

    TYPE = "guest.responsive"


class NetworkLost(_Detail, frozen=True, kw_only=True):
    """The guest has no network; the driver restarts the process that carries it."""

    TYPE = "network.lost"


class NetworkBack(_Detail, frozen=True, kw_only=True):
    """The guest has a network again."""

    TYPE = "network.back"


class _OfPort(Payload, frozen=True, kw_only=True):
    """A forward; a socket stands in place of a port, which is 0 then."""

    proto: str = "tcp"
    guest_port: int = 0
    host_ip: str = ""
    host_port: int = 0
    host_socket: str = ""


class PortOpened(_OfPort, frozen=True, kw_only=True):
    """A server in the guest listens, and a rule opened a host port for it."""

    TYPE = "port.opened"


class PortClosed(_OfPort, frozen=True, kw_only=True):
    """A server in the guest listens no more, and its host port is closed."""

    TYPE = "port.closed"


class PortFailed(_OfPort, frozen=True, kw_only=True):
    """A server in the guest listens, and its host port cannot be opened; ``detail`` says why.

    Without a port: some of the guest's servers are not forwarded at all.
    """

    TYPE = "port.failed"
    detail: str = ""


class SharesUnwatched(_Detail, frozen=True, kw_only=True):
    """With ``mountInotify``, changes in some directories of a share are not noticed."""

    TYPE = "shares.unwatched"


class ConfigUpdated(Payload, frozen=True, kw_only=True):
    """The config in force has changed in these fields (the user's keys)."""

    TYPE = "vm.config.updated"
    fields: tuple[str, ...]
    restart_required: bool
    applied: bool
    while_running: bool


class ConfigStaged(Payload, frozen=True, kw_only=True):
    """A change waits for the next start; ``replaced``: another change waited already."""

    TYPE = "vm.config.staged"
    fields: tuple[str, ...]
    replaced: bool
    restart_required: bool


class ConfigApplied(Payload, frozen=True, kw_only=True):
    """The waiting changes came into force with a start."""

    TYPE = "vm.config.applied"
    fields: tuple[str, ...]


class ConfigDiscarded(Payload, frozen=True, kw_only=True):
    """The waiting changes were discarded."""

    TYPE = "vm.config.discarded"


class ConfigQuarantined(Payload, frozen=True, kw_only=True):
    """A copy of the config (``file``) was damaged; it is at ``kept`` now."""

    TYPE = "vm.config.quarantined"
    file: str
    kept: str
    message: str


class DriverStarted(Payload, frozen=True, kw_only=True):
    """A driver runs; its sessions are at ``socket_path``."""

    TYPE = "driver.started"
    pid: int
    socket_path: str


class DriverExited(Payload, frozen=True, kw_only=True):
    """A driver's process has ended. ``exit_code``: minus the signal's number if one ended it.

    ``expected``: it was asked to leave, or its VM had ended before.
    """

    TYPE = "driver.exited"
    pid: int
    exit_code: int | None
    expected: bool


class DriverStopped(Payload, frozen=True, kw_only=True):
    """A VM that was to be stopped is stopped."""

    TYPE = "driver.stopped"


class DriverStartFailed(Payload, frozen=True, kw_only=True):
    """A VM could not be started; ``error`` is the message."""

    TYPE = "driver.start_failed"
    error: str


class RestartScheduled(Payload, frozen=True, kw_only=True):
    """The daemon starts the VM again in ``delay_s``; ``nominal_s`` is that without jitter."""

    TYPE = "driver.restart_scheduled"
    attempt: int
    max_attempts: int
    delay_s: float
    nominal_s: float
    reason: str


class PermanentFailure(Payload, frozen=True, kw_only=True):
    """The daemon gave the VM up; ``serial_tail``: the console's last lines.

    ``window_limit`` restarts in ``window_s`` seconds are there if that limit decided.
    """

    TYPE = "driver.permanent_failure"
    reason: str
    attempts: int
    max_attempts: int
    serial_tail: tuple[str, ...]
    window_limit: int | None = None
    window_s: float | None = None


class HypervisorExited(Payload, frozen=True, kw_only=True):
    """The hypervisor's process has ended: ``status`` as exit code or minus the signal.

    ``at``: seconds of the host's monotonic clock. ``expected``: the VM was being stopped.
    """

    TYPE = "hypervisor.exited"
    pid: int | None
    status: int | None
    at: float | None
    expected: bool


class DisplayOpened(Payload, frozen=True, kw_only=True):
    """The window shows; the size is the guest's, in pixels."""

    TYPE = "display.opened"
    width: int
    height: int


class DisplayClosed(Payload, frozen=True, kw_only=True):
    """The window is closed."""

    TYPE = "display.closed"
    reason: str


_ALL: tuple[type[Payload], ...] = (
    DaemonStarted,
    DaemonUpgraded,
    StateRecovered,
    StateRowQuarantined,
    DriftMended,
    EventsSuppressed,
    VmCreated,
    VmRemoved,
    VmState,
    VmPaused,
    VmResumed,
    ConfigUpdated,
    ConfigStaged,
    ConfigApplied,
    ConfigDiscarded,
    ConfigQuarantined,
    DriverStarted,
    DriverExited,
    DriverStopped,
    DriverStartFailed,
    RestartScheduled,
    PermanentFailure,
    HypervisorExited,
    GuestWatchdog,
    GuestPanicked,
    GuestUnresponsive,
    GuestResponsive,
    NetworkLost,
    PortOpened,
    PortClosed,
    PortFailed,
    NetworkBack,
    SharesUnwatched,
    DisplayOpened,
    DisplayClosed,
)
#: By the type of the event.
PAYLOADS: dict[str, type[Payload]] = {kind.TYPE: kind for kind in _ALL}


def read(event: Event) -> Payload | None:
    """What an event carries; None for a type, or a shape, that this version does not know."""
    kind = PAYLOADS.get(event.type)
    try:
        return None if kind is None else msgspec.convert(event.payload, kind)
    except msgspec.ValidationError:
        return None
