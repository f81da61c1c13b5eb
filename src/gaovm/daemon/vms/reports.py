"""What a driver reports about its VM: states, progress, the guest's health, the hypervisor's exit.

A driver may be of another version and its guest hostile. So the daemon logs or ignores what it does
not understand, and never raises.
"""

from __future__ import annotations

import logging
from typing import Any

import msgspec

from gaovm import errors
from gaovm.daemon.storage import records
from gaovm.daemon.vms import copied, display, driver_watch, machine, port_reports
from gaovm.model import states, supervision
from gaovm.wire import anyjson
from gaovm.wire.control import payloads
from gaovm.wire.control.progress import Progress
from gaovm.wire.driver import notifications, table
from gaovm.wire.driver.params import NOTHING

logger = logging.getLogger(__name__)

#: What a driver reports about its guest's health, and the events made from it.
HEALTH_EVENTS = {
    "watchdog": payloads.GuestWatchdog,
    "panic": payloads.GuestPanicked,
    "unresponsive": payloads.GuestUnresponsive,
    "responsive": payloads.GuestResponsive,
    "paused": payloads.VmPaused,
    "resumed": payloads.VmResumed,
    "network_lost": payloads.NetworkLost,
    "network_back": payloads.NetworkBack,
    "shares_unwatched": payloads.SharesUnwatched,
}


def on_notification(vm: machine.Machine, name: str, params: anyjson.Object) -> None:
    """Take in what a driver says.

    Notifications of a newer driver are ignored; one that cannot be read is logged and dropped.
    """
    try:
        told = notifications.decode(name, params)
    except errors.InvalidParams as exc:
        logger.warning("vm %s: bad report of the driver: %s: %s", vm.name, name, exc)
        return
    if isinstance(told, notifications.State):
        on_state(vm, told)
    elif isinstance(told, notifications.Progress):
        on_progress(vm, told)
    elif isinstance(told, notifications.Hypervisor):
        on_hypervisor_exit(vm, told)
    elif isinstance(told, notifications.Display):
        display.on_report(vm.fleet.events, vm.name, told)
    elif isinstance(told, notifications.Health):
        on_health(vm, told)
    elif isinstance(told, notifications.Ports):
        port_reports.on_report(vm, told)


def on_state(vm: machine.Machine, report: notifications.State) -> None:
    """Take in a change of the VM's state; one that says nothing new is dropped."""
    failure = report.failure()
    event = states.of_report(vm.state, report.observed, report.readiness, report.reason)
    if event is None:
        logger.debug("vm %s: report %s says nothing new", vm.name, report)
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
        rebooted = event is states.Event.BECAME_READY and vm.up is None
        if rebooted and vm.record.spec.guest.copies:
            vm.fleet.background(f"vm {vm.name}: copies to the host", copied.place_again(vm))
        return
    driver_watch.dismiss(vm)
    if copied.removes(vm.record):
        vm.fleet.background(f"vm {vm.name}: copies on the host", copied.remove_at_rest(vm))


def on_progress(vm: machine.Machine, told: notifications.Progress) -> None:
    """Pass ``progress`` on to those who wait for the ``up``."""
    phase, message = told.phase[:80], told.message[:2000]
    vm.note = f"{phase}: {message}" if phase and message else message or phase or None
    if vm.up is not None:
        vm.up.report(Progress(phase=phase, message=message))


def on_hypervisor_exit(vm: machine.Machine, told: notifications.Hypervisor) -> None:
    """Record that the hypervisor exited; what it means comes with the next ``state``."""
    stopping = vm.closing or vm.state.observed is states.Observed.STOPPING
    payload = payloads.HypervisorExited(
        pid=told.pid, status=told.status, at=told.at, expected=stopping
    )
    vm.fleet.events.tell(vm.name, payload)


def on_health(vm: machine.Machine, told: notifications.Health) -> None:
    """Take in the health of a running guest: emit an event, and let the VM's policy act."""
    kind, detail = told.kind, told.detail[:1000]
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
        status = await driver.call(table.VM_STATUS, NOTHING)
    except errors.GaoError as exc:
        logger.warning("vm %s: no status of the driver: %s", vm.name, exc)
        return
    vm.paused = status.paused
    vm.update(facts=records.Facts.of(status))


def _note_network(vm: machine.Machine, problem: str | None) -> None:
    """Let ``status`` say what is wrong with the guest's network while it is wrong."""
    facts = vm.record.facts
    if facts.network is not None and facts.network.problem != problem:
        network = msgspec.structs.replace(facts.network, problem=problem)
        vm.update(facts=msgspec.structs.replace(facts, network=network))


def _left(vm: machine.Machine, reason: str | None) -> errors.GaoError:
    """Explain why a VM stopped although neither its guest nor a user switched it off."""
    return errors.DriverLost(
        f"the driver of VM {vm.name} ended it by itself, as after 15 s without a word from the "
        f"daemon ({reason or 'no reason given'})",
        remedy=f"see {vm.fleet.paths.driver_log(vm.name)}",
    )
