"""What a new daemon does with the rows that the last one left.

Rows are brought into a state that is true now; drivers of an earlier daemon, which leave by
themselves, are waited for; removals that were cut short are finished; what should run is
started. The daemon answers clients meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import shutil

from gaovm import errors
from gaovm.aio import files, steps, tasks
from gaovm.daemon import ending, machine, occupancy, paths, supervisor
from gaovm.daemon.storage import records
from gaovm.model import states

logger = logging.getLogger(__name__)


@steps.step
def load(hub: machine.Hub, found: list[records.VmRecord]) -> None:
    """Make the machines of all rows; for start-up, before anybody is served."""
    for record in found:
        subject = machine.Machine(hub, record)
        hub.machines[record.name] = subject
        event = states.Event.NOTHING_LEFT
        if occupancy.held(subject):
            event = states.Event.OLD_DRIVER_SEEN
        if record.state.observed is not states.Observed.STOPPED or (
            event is states.Event.OLD_DRIVER_SEEN
        ):
            subject.apply(event)
        if event is states.Event.OLD_DRIVER_SEEN:
            subject.note = "waiting for the old driver to leave"


async def recover(hub: machine.Hub, keeper: supervisor.Supervisor, boot_id: str) -> None:
    """Bring every machine to rest, then start what should run; runs beside the service."""
    async with tasks.TaskOwner("recovery") as owner:
        work = [
            owner.start(
                machine.guard(
                    f"vm {subject.name}: recovery", _recover_one(subject, keeper, boot_id)
                ),
                name=subject.name,
                finishable=True,
            )
            for subject in list(hub.machines.values())
        ]
        if work:
            await asyncio.wait(work)


async def _recover_one(
    subject: machine.Machine, keeper: supervisor.Supervisor, boot_id: str
) -> None:
    async with subject.serial:
        if subject.state.observed is states.Observed.STOPPING:
            await _await_old_driver(subject)
        if subject.driver is None and not occupancy.held(subject):
            paths.remove_sockets(subject.hub.paths.run_dir(subject.record.run_id))
        if subject.record.deleting:
            await ending.remove(subject)
            return
    record = subject.record
    if record.state.desired is not states.Desired.RUNNING or subject.up is not None:
        return
    if record.boot_id == boot_id or record.spec.supervision.autostart:
        keeper.resume(subject)
        return
    reason = "stopped by a reboot of the host"
    logger.info("vm %s: %s", subject.name, reason, extra={"vm": subject.name})
    await subject.apply(states.Event.STOP_ASKED, errors.Cancelled(reason))


@steps.step
async def _await_old_driver(subject: machine.Machine) -> None:
    failure: errors.LockHeld | None = None
    try:
        await occupancy.until_free(subject, occupancy.OLD_DRIVER_S)
    except errors.LockHeld as exc:
        failure = exc
    await ending.written(subject.apply(states.Event.STOPPED, failure), subject)


@steps.step
def sweep(hub: machine.Hub) -> None:
    """Remove run directories that belong to no VM, and files that a dead daemon began to write.

    Nothing else in ``vms`` is ever swept.
    """
    known = {subject.record.run_id for subject in hub.machines.values()}
    for entry in hub.paths.run.iterdir():
        if paths.is_run_id(entry.name) and entry.name not in known:
            logger.info("removing stale %s", entry)
            shutil.rmtree(entry, ignore_errors=True)
    for entry in hub.paths.vms.iterdir():
        if entry.name not in hub.machines:
            logger.warning("%s belongs to no known VM; it is left alone", entry)
    for directory in (hub.paths.home, *hub.paths.vms.iterdir()):
        for removed in files.sweep(directory):
            logger.info("removed %s, which was never finished", removed)
