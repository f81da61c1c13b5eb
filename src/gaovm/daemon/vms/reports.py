"""What a driver tells of its VM: states, progress, the guest's health, the hypervisor's exit.

A driver may be of another version and its guest hostile: what is not understood is logged or
ignored, and never raises.
"""

from __future__ import annotations

import logging
from typing import Any

import msgspec

from gaovm import errors
from gaovm.daemon.storage import records
from gaovm.daemon.vms import display, driver_watch, machine
from gaovm.ipc import methods
from gaovm.model import states, supervision
from gaovm.wire import anyjson
from gaovm.wire.control import payloads
from gaovm.wire.control.progress import Progress

logger = logging.getLogger(__name__)

#: What a driver tells of its guest's health, and the events of it.
HEALTH_EVENTS = {
    "watchdog": payloads.GuestWatchdog,
    "panic": payloads.GuestPanicked,
    "unresponsive": payloads.GuestUnresponsive,
    "responsive": payloads.GuestResponsive,
    "paused": payloads.VmPaused,
    "resumed": payloads.VmResumed,
    "network_lost": payloads.NetworkLost,
    "network_back": payloads.NetworkBack,
}


class StateReport(msgspec.Struct, frozen=True, kw_only=True):
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


def on_notification(vm: machine.Machine, method: str, params: anyjson.Object) -> None:
    """Take in what a driver says; notifications of a newer driver are ignored."""
    if method == methods.STATE:
        on_state(vm, params)
    elif method == methods.PROGRESS:
        on_progress(vm, params)
    elif method == methods.HYPERVISOR:
        on_hypervisor_exit(vm, params)
    elif method == methods.DISPLAY:
        display.on_report(vm.fleet.events, vm.name, params)
    elif method == methods.HEALTH:
        on_health(vm, params)


def on_state(vm: machine.Machine, params: anyjson.Object) -> None:
    """Take in a ``state`` notification; one that cannot be read is logged and dropped."""
    try:
        report = msgspec.convert(params, StateReport)
    except msgspec.ValidationError as exc:
        logger.warning("vm %s: bad report of the driver: %s", vm.name, exc)
        return
    failure = None if report.error is None else report.failure()
    event = states.of_report(vm.state, report.observed, report.readiness, report.reason)
    if event is None:
        logger.debug("vm %s: report %s says nothing new", vm.name, params)
        return
    if vm.closing:
        return
    changes: dict[str, Any] = {}
    if report.readiness not in (None, states.Readiness.BOOTING):
        changes["disk_used"] = True
    if report.boot is not None:
        changes["facts"] = msgspec.structs.replace(vm.record.facts, boot=report.boot)
    if event is states.Event.BECAME_READY:
        changes["last_error"] = None
    if event is states.Event.POWERED_OFF:
        vm.fleet.supervisor.ended(vm, supervision.Ending.POWERED_OFF, None, **changes)
    elif event is states.Event.DIED:
        failure = failure or _left(vm, report.reason)
        vm.fleet.supervisor.ended(vm, supervision.Ending.DIED, failure, **changes)
    else:
        vm.apply(event, failure, **changes)
        return
    driver_watch.dismiss(vm)


def on_progress(vm: machine.Machine, params: anyjson.Object) -> None:
    """Pass ``progress`` on to whoever waits for the ``up``."""
    phase, message = str(params.get("phase", ""))[:80], str(params.get("message", ""))[:2000]
    vm.note = f"{phase}: {message}" if phase and message else message or phase or None
    if vm.up is not None:
        vm.up.report(Progress(phase=phase, message=message))


def on_hypervisor_exit(vm: machine.Machine, params: anyjson.Object) -> None:
    """Record that the hypervisor exited; what it means comes with the next ``state``."""
    stopping = vm.closing or vm.state.observed is states.Observed.STOPPING
    told = {key: params.get(key) for key in ("pid", "status", "at")}
    try:
        payload = msgspec.convert({**told, "expected": stopping}, payloads.HypervisorExited)
    except msgspec.ValidationError as exc:
        logger.warning("vm %s: bad report of the driver: %s", vm.name, exc)
        return
    vm.fleet.events.tell(vm.name, payload)


def on_health(vm: machine.Machine, params: anyjson.Object) -> None:
    """Take in the health of a running guest: emit an event, and let the VM's policy act."""
    kind, detail = str(params.get("kind")), str(params.get("detail") or "")[:1000]
    if kind not in HEALTH_EVENTS or vm.state.observed is not states.Observed.RUNNING:
        return
    if kind in ("paused", "resumed"):
        vm.paused = kind == "paused"
    elif kind in ("network_lost", "network_back"):
        _note_network(vm, detail if kind == "network_lost" else None)
    logger.info("vm %s: %s: %s", vm.name, kind, detail, extra={"vm": vm.name})
    vm.fleet.events.tell_of_guest(vm.name, HEALTH_EVENTS[kind](detail=detail))
    if not vm.closing:
        vm.fleet.supervisor.hangs(vm, kind)
    vm.touch()


async def refresh(vm: machine.Machine) -> None:
    """Record boot times and ports as the driver has them now; a failure is only logged."""
    driver = vm.driver
    if driver is None:
        return
    try:
        status = await driver.call("vm.status", {})
        vm.paused = status.get("paused") is True
        seen = {k: v for k, v in status.items() if k in records.Facts.__struct_fields__}
        merged = {**msgspec.structs.asdict(vm.record.facts), **seen}
        facts = msgspec.convert(merged, records.Facts)
    except (errors.GaoError, msgspec.ValidationError) as exc:
        logger.warning("vm %s: no status of the driver: %s", vm.name, exc)
        return
    vm.update(facts=facts)


def _note_network(vm: machine.Machine, problem: str | None) -> None:
    """Let ``status`` say what is wrong with the guest's network while it is wrong."""
    facts = vm.record.facts
    if facts.network is not None and facts.network.get("problem") != problem:
        network = {**facts.network, "problem": problem}
        vm.update(facts=msgspec.structs.replace(facts, network=network))


def _left(vm: machine.Machine, reason: str | None) -> errors.GaoError:
    """Why a VM has stopped that neither its guest nor anybody here switched off."""
    return errors.DriverLost(
        f"the driver of VM {vm.name} ended it by itself, as when it hears nothing from the "
        f"daemon for 15 s ({reason or 'no reason given'})",
        remedy=f"see {vm.fleet.paths.driver_log(vm.name)}",
    )
