"""What a new daemon does with the rows that the last one left.

It brings each row into a state that is true now, waits for the drivers of an earlier daemon, which
leave by themselves, finishes removals that were cut short, and starts what should run. It answers
clients meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import shutil

from gaovm import errors
from gaovm.aio import files, steps, tasks
from gaovm.daemon import paths
from gaovm.daemon.drivers import occupancy
from gaovm.daemon.lifecycle import stop, supervisor
from gaovm.daemon.storage import records
from gaovm.daemon.vms import copied, machine
from gaovm.daemon.vms.fleet import Fleet
from gaovm.model import states

logger = logging.getLogger(__name__)


@steps.step
def load(fleet: Fleet, found: list[records.VmRecord]) -> None:
    """Make a machine for every row; called at start-up, before any client is served."""
    for record in found:
        vm = machine.Machine(fleet, record)
        fleet.machines[record.name] = vm
        event = states.Event.NOTHING_LEFT
        if occupancy.held(vm):
            event = states.Event.OLD_DRIVER_SEEN
        if record.state.observed is not states.Observed.STOPPED or (
            event is states.Event.OLD_DRIVER_SEEN
        ):
            vm.apply(event)
        if event is states.Event.OLD_DRIVER_SEEN:
            vm.note = "waiting for the old driver to leave"


async def recover(fleet: Fleet, keeper: supervisor.Supervisor, boot_id: str) -> None:
    """Bring every machine to rest, then start what should run. Clients are served meanwhile."""
    async with tasks.TaskOwner("recovery") as owner:
        work = [
            owner.start(
                tasks.guard(f"vm {vm.name}: recovery", _recover_one(vm, keeper, boot_id)),
                name=vm.name,
                finishable=True,
            )
            for vm in list(fleet.machines.values())
        ]
        if work:
            await asyncio.wait(work)


async def _recover_one(vm: machine.Machine, keeper: supervisor.Supervisor, boot_id: str) -> None:
    async with vm.serial:
        if vm.state.observed is states.Observed.STOPPING:
            await _await_old_driver(vm)
        if vm.driver is None and not occupancy.held(vm):
            paths.remove_sockets(vm.fleet.paths.run_dir(vm.record.run_id))
        if vm.state.observed in states.AT_REST:
            await copied.remove(vm)
        if vm.record.deleting:
            await stop.remove(vm)
            return
    record = vm.record
    if record.state.desired is not states.Desired.RUNNING or vm.up is not None:
        return
    if record.boot_id == boot_id or record.spec.supervision.autostart:
        keeper.resume(vm)
        return
    reason = "stopped by a reboot of the host"
    logger.info("vm %s: %s", vm.name, reason, extra={"vm": vm.name})
    await vm.apply(states.Event.STOP_ASKED, errors.Cancelled(reason))


@steps.step
async def _await_old_driver(vm: machine.Machine) -> None:
    failure: errors.LockHeld | None = None
    try:
        await occupancy.until_free(vm, occupancy.OLD_DRIVER_S)
    except errors.LockHeld as exc:
        failure = exc
    await stop.written(vm.apply(states.Event.STOPPED, failure), vm)


@steps.step
def sweep(fleet: Fleet) -> None:
    """Remove run directories that belong to no VM, and files that a dead daemon began to write.

    Nothing else in ``vms`` is ever swept.
    """
    known = {vm.record.run_id for vm in fleet.machines.values()}
    for entry in fleet.paths.run.iterdir():
        if paths.is_run_id(entry.name) and entry.name not in known:
            logger.info("removing stale %s", entry)
            shutil.rmtree(entry, ignore_errors=True)
    for entry in fleet.paths.vms.iterdir():
        if entry.name not in fleet.machines:
            logger.warning("%s belongs to no known VM; it is left alone", entry)
    for directory in (fleet.paths.home, *fleet.paths.vms.iterdir()):
        for removed in files.sweep(directory):
            logger.info("removed %s, which was never finished", removed)
