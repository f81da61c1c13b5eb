"""One VM in the daemon: its record, its driver, and the operation under way.

``apply`` is the only way a machine's state changes; it writes the database and tells everybody
who watches. Operations on a machine hold ``serial``, one at a time; reads look at ``record`` and
never wait.
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
from gaovm.daemon.storage import events, records, store
from gaovm.daemon.vms import display
from gaovm.ipc import methods
from gaovm.model import labels, states, supervision

logger = logging.getLogger(__name__)

#: What a driver tells of its guest's health, and the events of it.
HEALTH_EVENTS = {
    "watchdog": "guest.watchdog",
    "panic": "guest.panicked",
    "unresponsive": "guest.unresponsive",
    "responsive": "guest.responsive",
    "paused": "vm.paused",
    "resumed": "vm.resumed",
    "network-lost": "network.lost",
    "network-back": "network.back",
}

#: How long the driver may take to leave once its VM is gone, before it is killed.
LEAVE_S = 10.0


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How a driver process ended: its wait status as exit code or minus signal, None if unknown."""

    pid: int
    exit_code: int | None


class Driver(Protocol):
    """What a machine needs of its driver."""

    pid: int

    def alive(self) -> bool:
        """Whether the process runs, as far as the kernel says now."""
        ...

    async def call(
        self, method: str, params: dict[str, Any] | None = None, *, timeout_s: float = 5.0
    ) -> dict[str, Any]:
        """Call a method of the driver protocol."""
        ...

    async def gone(self) -> Ended:
        """Return when the process has ended."""
        ...

    async def leave(self, limit_s: float) -> Ended:
        """Ask the driver to leave; kill it after the limit. Returns when it is gone."""
        ...


class Launcher(Protocol):
    """Starts drivers."""

    async def launch(self, machine: Machine) -> Driver:
        """A driver whose handshake is done and whose notifications go to the machine."""
        ...


class Supervising(Protocol):
    """Decides what follows when a VM has ended although nobody asked."""

    def ended(
        self,
        vm: Machine,
        how: supervision.Ending,
        failure: errors.GaoError | None,
        **changes: Any,
    ) -> None:
        """Write down what follows, and do it; ``changes`` go into the record with it."""
        ...

    def hangs(self, vm: Machine, kind: str) -> None:
        """A guest that runs does not work any more: do what its policy says."""
        ...


async def guard(name: str, work: Coroutine[Any, Any, Any]) -> None:
    """Run work to its end; a failure is logged and stays here."""
    try:
        await work
    except errors.GaoError as exc:
        logger.warning("%s: %s", name, exc)
    except Exception:
        logger.exception("%s failed", name)


class Fleet:
    """What all machines share, and the machines by name.

    ``supervisor`` is set by the supervisor when it is made, before anything is started.
    """

    supervisor: Supervising

    def __init__(
        self,
        where: paths.Paths,
        database: store.Store,
        topic: events.Events,
        owner: tasks.TaskOwner,
    ) -> None:
        self.paths = where
        self.store = database
        self.events = topic
        self.owner = owner
        self.machines: dict[str, Machine] = {}
        #: Asked for by VM; holds for its drivers until this daemon ends.
        self.log_levels: dict[str, str] = {}
        #: Work of clients that goes on without them; what has ended is dropped now and then.
        self.lasting: set[operations.Operation[Any]] = set()

    def background(self, name: str, work: Coroutine[Any, Any, Any]) -> None:
        """Run work that nobody waits for; its failure is logged."""
        self.owner.start(guard(name, work), name=name, finishable=True)


class Machine:
    """One VM. ``up`` is the operation that brings it up, while there is one."""

    def __init__(self, fleet: Fleet, record: records.VmRecord) -> None:
        self.fleet = fleet
        self.record = record
        self.driver: Driver | None = None
        self.up: operations.Operation[Any] | None = None
        self.serial = asyncio.Lock()
        #: Stops and removals that were asked for and are not over: what began before them is
        #: over, and nobody starts the VM again on behalf of an earlier wish.
        self.endings = 0
        #: Held by a change of the config, which goes beside an operation.
        self.config = asyncio.Lock()
        self.note: str | None = None
        self.hypervisor_pid: int | None = None
        #: Of the last start, in milliseconds; shown with the boot times.
        self.timings: dict[str, float] = {}
        self.closing = False
        #: The guest's processors and clocks stand still.
        self.paused = False
        #: The next start of a VM that has died, while it waits for that.
        self.restart: asyncio.TimerHandle | None = None
        #: When the hypervisor was last started, by the monotonic clock.
        self.running_since: float | None = None
        #: Where in the console's log this hypervisor's run begins, as far as this daemon knows.
        self.console_from = 0
        #: The record as it is could not be written; it is tried again (``supervisor``).
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
        """The word and the line shown to people."""
        failure = self.record.last_error
        note = "paused" if self.paused else self.note
        if self.state.observed is states.Observed.STOPPED and failure is not None:
            # Not asked for by anybody: by a reboot of the host, or an `up` that was withdrawn.
            note = note or (failure.message if failure.code == errors.Cancelled.code else None)
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
            emit = events_of.emit_of_guest if event in states.OF_GUEST else events_of.emit
            emit("vm.state", self.name, self._state_payload(event, failure))
        return written

    def update(self, **changes: Any) -> asyncio.Future[None]:
        """Change other fields of the record; as ``apply`` otherwise."""
        self.record = msgspec.structs.replace(self.record, **changes)
        for watcher in self._watchers:
            if not watcher.done():
                watcher.set_result(None)
        written = self.fleet.store.put(self.record)
        written.add_done_callback(self._on_written)
        return written

    def _on_written(self, written: asyncio.Future[None]) -> None:
        if not written.cancelled():  # a caller that went away says nothing of the disk
            self.unwritten = written.exception() is not None

    def fail(self, failure: errors.GaoError) -> None:
        """Keep an error as the machine's last, without a change of state."""
        self._failure = failure
        self.update(last_error=_failure(failure, self.name))

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
        """The last error as it was raised, if it happened in this daemon's life."""
        return self._failure

    def forget_failure(self) -> None:
        """Begin anew: the next error is a new one."""
        self._failure = None

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return when the condition holds; it is looked at after every change of this machine."""
        while not condition():
            watcher = asyncio.get_running_loop().create_future()
            self._watchers.add(watcher)
            try:
                await watcher
            finally:
                self._watchers.discard(watcher)

    def touch(self) -> None:
        """Let everybody who waits look again."""
        for watcher in self._watchers:
            if not watcher.done():
                watcher.set_result(None)

    def on_notification(self, method: str, params: dict[str, Any]) -> None:
        """Take in what a driver says; methods of a newer one are ignored."""
        if method == methods.STATE:
            self.on_report(params)
        elif method == methods.PROGRESS:
            self.on_progress(params)
        elif method == methods.HYPERVISOR:
            self.on_hypervisor_exit(params)
        elif method == methods.DISPLAY:
            display.on_report(self.fleet.events, self.name, params)
        elif method == methods.HEALTH:
            self.on_health(params)

    def on_hypervisor_exit(self, params: dict[str, Any]) -> None:
        """Record that the hypervisor exited; what it means comes with the next report."""
        stopping = self.closing or self.state.observed is states.Observed.STOPPING
        payload = {key: params.get(key) for key in ("pid", "status", "at")}
        self.fleet.events.emit("hypervisor.exited", self.name, {**payload, "expected": stopping})

    def on_health(self, params: dict[str, Any]) -> None:
        """Take in what a driver tells of its guest's health: an event, and the VM's policy."""
        kind, detail = str(params.get("kind")), str(params.get("detail") or "")[:1000]
        if kind not in HEALTH_EVENTS or self.state.observed is not states.Observed.RUNNING:
            return
        if kind in ("paused", "resumed"):
            self.paused = kind == "paused"
        elif kind in ("network-lost", "network-back"):
            self._note_network(detail if kind == "network-lost" else None)
        logger.info("vm %s: %s: %s", self.name, kind, detail, extra={"vm": self.name})
        self.fleet.events.emit_of_guest(HEALTH_EVENTS[kind], self.name, {"detail": detail})
        if not self.closing:
            self.fleet.supervisor.hangs(self, kind)
        self.touch()

    def _note_network(self, problem: str | None) -> None:
        """``status`` says what is wrong with the guest's network, and no longer than it is."""
        facts = self.record.facts
        if facts.network is not None and facts.network.get("problem") != problem:
            network = {**facts.network, "problem": problem}
            self.update(facts=msgspec.structs.replace(facts, network=network))

    def on_report(self, params: dict[str, Any]) -> None:
        """Take in a driver's ``state`` notification; nonsense is logged and dropped."""
        try:
            report = msgspec.convert(params, Report)
        except msgspec.ValidationError as exc:
            logger.warning("vm %s: bad report of the driver: %s", self.name, exc)
            return
        failure = None if report.error is None else report.failure()
        event = states.of_report(self.state, report.observed, report.readiness, report.reason)
        if event is None:
            logger.debug("vm %s: report %s says nothing new", self.name, params)
            return
        if self.closing:
            return
        changes: dict[str, Any] = {}
        if report.readiness not in (None, states.Readiness.BOOTING):
            changes["disk_used"] = True
        if report.boot is not None:
            changes["facts"] = msgspec.structs.replace(self.record.facts, boot=report.boot)
        if event is states.Event.BECAME_READY:
            changes["last_error"] = None
        if event is states.Event.POWERED_OFF:
            self.fleet.supervisor.ended(self, supervision.Ending.POWERED_OFF, None, **changes)
        elif event is states.Event.DIED:
            failure = failure or self._left(report.reason)
            self.fleet.supervisor.ended(self, supervision.Ending.DIED, failure, **changes)
        else:
            self.apply(event, failure, **changes)
            return
        self.dismiss()

    def _left(self, reason: str | None) -> errors.GaoError:
        """Why a VM has stopped that neither its guest nor anybody here switched off."""
        return errors.DriverLost(
            f"the driver of VM {self.name} ended it by itself, as when it hears nothing from the "
            f"daemon for 15 s ({reason or 'no reason given'})",
            remedy=f"see {self.fleet.paths.driver_log(self.name)}",
        )

    def on_progress(self, params: dict[str, Any]) -> None:
        """Pass a driver's ``progress`` on to whoever waits for the ``up``."""
        phase, message = str(params.get("phase", ""))[:80], str(params.get("message", ""))[:2000]
        self.note = f"{phase}: {message}" if phase and message else message or phase or None
        if self.up is not None:
            self.up.report({"phase": phase, "message": message})

    def adopt(self, driver: Driver) -> None:
        """Take a started driver as this machine's and watch for its end."""
        self.driver = driver
        self.fleet.background(f"vm {self.name}: driver {driver.pid}", self._watch(driver))

    def dismiss(self) -> None:
        """Let the driver of a VM that has ended go, in the background."""
        if self.driver is not None:
            self.fleet.background(f"vm {self.name}: dismiss", self.driver.leave(LEAVE_S))

    async def _watch(self, driver: Driver) -> None:
        ended = await driver.gone()
        if self.driver is not driver:
            return  # the safety reconcile was first
        self.driver = None
        self.hypervisor_pid = None
        paths.remove_sockets(self.fleet.paths.run_dir(self.record.run_id))
        alive = self.state.observed in (states.Observed.RUNNING, states.Observed.STARTING)
        died = alive and not self.closing
        payload = {"pid": ended.pid, "exitCode": ended.exit_code, "expected": not died}
        self.fleet.events.emit("driver.exited", self.name, payload)
        if died:
            failure = errors.DriverLost(
                f"the driver of VM {self.name} ended with {_how(ended.exit_code)}",
                remedy=f"see {self.fleet.paths.driver_log(self.name)}",
            )
            self.fleet.supervisor.ended(self, supervision.Ending.DIED, failure)
        self.touch()

    def _state_payload(
        self, event: states.Event, failure: errors.GaoError | None
    ) -> dict[str, Any]:
        state = self.state
        payload: dict[str, Any] = {
            "event": event.value,
            "desired": state.desired,
            "observed": state.observed,
            "readiness": state.readiness,
            "first_up": state.first_up,
            "state": self.describe()[0],
        }
        if failure is not None:
            payload["error"] = {"code": failure.code, "message": failure.message}
        return payload


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A driver's ``state`` notification; fields that it adds later are ignored."""

    observed: states.Observed
    readiness: states.Readiness | None = None
    at: str | float | int | None = None
    reason: str | None = None
    error: dict[str, Any] | None = None
    boot: dict[str, Any] | None = None

    def failure(self) -> errors.GaoError:
        """The error as a member of the tree: either wire form, or ``{code, message, …}``."""
        data = dict(self.error or {})
        if not isinstance(data.get("data"), dict):
            data["data"] = {k: v for k, v in data.items() if k != "message"}
        return errors.from_wire(data)


def _failure(error: errors.GaoError, name: str) -> records.Failure:
    error.name_vm(name)
    return records.Failure(
        code=error.code,
        message=error.message,
        at=timestamps.now(),
        remedy=error.remedy,
        actions=tuple(records.Action(code=a.code, args=a.args) for a in error.actions),
        serial_tail=tuple(error.details.get("serial_tail", ())),
    )


def _how(exit_code: int | None) -> str:
    if exit_code is None:
        return "an unknown status"
    if exit_code == 0:
        return "status 0: it left by itself, as when it hears nothing from the daemon for 15 s"
    return f"signal {-exit_code}" if exit_code < 0 else f"status {exit_code}"
