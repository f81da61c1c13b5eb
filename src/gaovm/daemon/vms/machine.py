"""One VM in the daemon: its record, its driver, and the operation under way.

Only ``apply`` changes a machine's state; it writes the database and tells everybody who watches.
Operations on a machine hold ``serial``, one at a time; reads look at ``record`` and never wait.
``reports`` handles what the driver reports, ``driver_watch`` its end.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

import msgspec

from gaovm import errors
from gaovm.aio import clock, tasks
from gaovm.daemon import operations, paths, timestamps
from gaovm.daemon.disks import registry
from gaovm.daemon.storage import events, records, store
from gaovm.daemon.vms import driver_protocol
from gaovm.model import labels, states, supervision
from gaovm.wire.control import payloads

logger = logging.getLogger(__name__)
MAX_NOTICES = 8


class Supervising(Protocol):
    """Decides what follows when a VM ends or hangs although nobody asked."""

    def ended(
        self,
        vm: Machine,
        how: supervision.Ending,
        failure: errors.GaoError | None,
        **changes: Any,
    ) -> None:
        """Write down what follows a VM's end, and do it; ``changes`` go into the record with it."""
        ...

    def hangs(self, vm: Machine, kind: str) -> None:
        """Apply the VM's policy to a guest that runs but no longer works."""
        ...


class FleetView(Protocol):
    """What a machine and its operations use of the fleet (``fleet.Fleet``)."""

    paths: paths.Paths
    store: store.Store
    events: events.Events
    disks: registry.Disks
    machines: dict[str, Machine]
    owner: tasks.TaskOwner
    log_levels: dict[str, str]
    supervisor: Supervising

    def background(self, name: str, work: Coroutine[Any, Any, Any]) -> None:
        """Run work that nobody waits for; its failure is logged."""
        ...

    def knows(self, vm: Machine) -> bool:
        """Whether the machine is one of the fleet: False after its removal."""
        ...

    def forget(self, vm: Machine) -> None:
        """Drop a machine whose row and files are removed."""
        ...


class Machine:
    """One VM. ``up`` is the operation that brings it up, while there is one."""

    def __init__(self, fleet: FleetView, record: records.VmRecord) -> None:
        self.fleet = fleet
        self.record = record
        self.driver: driver_protocol.Driver | None = None
        self.up: operations.Operation[Any] | None = None
        self.serial = asyncio.Lock()
        #: Stops and removals that were asked for and are not over. While there is one, nobody
        #: starts the VM on behalf of an earlier wish.
        self.endings = 0
        #: Held by a change of the config, which runs beside an operation.
        self.config = asyncio.Lock()
        self.note: str | None = None
        self.hypervisor_pid: int | None = None
        #: Times of the last start, in milliseconds; shown with the boot times.
        self.timings: dict[str, float] = {}
        self.closing = False
        #: What nobody was told yet; the next command in the guest shows it.
        self._notices: list[str] = []
        #: Whether the guest's processors and clocks stand still.
        self.paused = False
        #: The timer of the next start, while a VM that has died waits for it.
        self.restart: asyncio.TimerHandle | None = None
        #: When the hypervisor was last started (monotonic clock, seconds).
        self.running_since: float | None = None
        #: The byte of the console's log at which this run begins, as far as this daemon knows.
        self.console_from = 0
        #: The record could not be written as it is; the supervisor tries again.
        self.unwritten = False
        self._failure: errors.GaoError | None = None
        self._watchers: set[asyncio.Future[None]] = set()

    @property
    def name(self) -> str:
        """The VM's name."""
        return self.record.name

    @property
    def state(self) -> states.VmState:
        """The present state."""
        return self.record.state

    def describe(self) -> tuple[str, str]:
        """The word and the line that people see."""
        failure = self.record.last_error
        note = "paused" if self.paused else self.note
        if self.state.observed is states.Observed.STOPPED and failure is not None:
            # Nobody asked for it: the host rebooted, or an `up` was withdrawn.
            note = note or (failure.message if failure.code == errors.Cancelled.code else None)
        elif self.state == states.VmState() and self.record.started_at is None:
            note = note or "made, and not started yet"
        return labels.describe(
            self.state,
            error=failure.message if failure else None,
            note=note,
            interrupted=self.up is not None and self.up.abandoned,
        )

    def console_size(self) -> int:
        """Bytes in the console's log."""
        try:
            return self.fleet.paths.serial_log(self.name).stat().st_size
        except OSError:
            return 0

    def apply(
        self, event: states.Event, failure: errors.GaoError | None = None, **changes: Any
    ) -> asyncio.Future[None]:
        """Change the state; the awaitable is done when the change is on disk.

        Raises:
            errors.StateConflict: the event does not apply; nothing changed.
        """
        before = self.state
        after = states.apply(before, event)
        if failure is not None:
            changes["last_error"] = _failure(failure, self.name)
            self._failure = failure
        self.note = None
        self.paused = self.paused and after.observed is states.Observed.RUNNING
        if after.observed is not states.Observed.BACKOFF:
            self.cancel_restart()
        if event is states.Event.UP_ASKED:
            self.running_since = None
        elif event is states.Event.HYPERVISOR_STARTED and self.running_since is None:
            self.running_since = clock.monotonic()  # a reboot inside the guest counts on
        written = self.update(state=after, **changes)
        if after != before or failure is not None:
            logger.info(
                "vm %s: %s: %s",
                self.name,
                event.value,
                after.readiness or after.observed,
                extra={"vm": self.name},
            )
            events_of = self.fleet.events
            tell = events_of.tell_of_guest if event in states.OF_GUEST else events_of.tell
            tell(self.name, self._state_payload(event, failure))
        return written

    def update(self, **changes: Any) -> asyncio.Future[None]:
        """Change other fields of the record; writes and tells as ``apply`` does."""
        self.record = msgspec.structs.replace(self.record, **changes)
        self.touch()
        written = self.fleet.store.put(self.record)
        written.add_done_callback(self._on_written)
        return written

    def _on_written(self, written: asyncio.Future[None]) -> None:
        if not written.cancelled():  # a cancelled caller says nothing about the disk
            self.unwritten = written.exception() is not None

    def fail(self, failure: errors.GaoError) -> None:
        """Keep an error as the machine's last one; the state stays."""
        self._failure = failure
        self.update(last_error=_failure(failure, self.name))

    def notice(self, text: str) -> None:
        """Keep a line for the user's next command; the oldest are dropped when nobody asks."""
        self._notices = [*(known for known in self._notices if known != text), text][-MAX_NOTICES:]

    def take_notices(self) -> tuple[str, ...]:
        """Return the lines that nobody was told yet."""
        told, self._notices = tuple(self._notices), []
        return told

    def ran_s(self) -> float:
        """Seconds since the hypervisor was last started; 0 when it never was."""
        since = self.running_since
        return 0.0 if since is None else clock.monotonic() - since

    def cancel_restart(self) -> None:
        """Forget a restart that is due later. Idempotent."""
        if self.restart is not None:
            self.restart.cancel()
            self.restart = None

    def last_failure(self) -> errors.GaoError | None:
        """The last error as it was raised, if it happened under this daemon."""
        return self._failure

    def forget_failure(self) -> None:
        """Forget the last error: the next start begins without one."""
        self._failure = None

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return when the condition holds; it is checked after every change of this machine."""
        while not condition():
            watcher = asyncio.get_running_loop().create_future()
            self._watchers.add(watcher)
            try:
                await watcher
            finally:
                self._watchers.discard(watcher)

    def touch(self) -> None:
        """Let everybody who waits in ``until`` check again."""
        for watcher in self._watchers:
            if not watcher.done():
                watcher.set_result(None)

    def _state_payload(
        self, event: states.Event, failure: errors.GaoError | None
    ) -> payloads.VmState:
        state = self.state
        why = None
        if failure is not None:
            why = payloads.Reason(code=failure.code, message=failure.message)
        return payloads.VmState(
            event=event.value,
            desired=state.desired,
            observed=state.observed,
            readiness=state.readiness,
            first_up=state.first_up,
            state=self.describe()[0],
            error=why,
        )


def _failure(error: errors.GaoError, name: str) -> records.Failure:
    error.name_vm(name)
    return records.Failure(
        code=error.code,
        message=error.message,
        at=timestamps.now(),
        remedy=error.remedy,
        actions=tuple(records.Action(code=a.code, args=a.args) for a in error.actions),
        serial_tail=_lines(error.details.get("serial_tail")),
    )


def _lines(told: object) -> tuple[str, ...]:
    """Return the lines among what a driver told: a row with anything else is unreadable."""
    lines = told if isinstance(told, list | tuple) else ()
    return tuple(line for line in lines if isinstance(line, str))
