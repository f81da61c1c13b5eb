"""Stopping, destroying and undoing: everything that takes a VM down.

A stop goes on when its caller goes away. A destroy writes its intent first, so that the next start
of the daemon finishes one that was cut short.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
from pathlib import Path

from gaovm import errors
from gaovm.daemon import machine
from gaovm.model import states

logger = logging.getLogger(__name__)

AT_REST = (states.Observed.STOPPED, states.Observed.FAILED)

#: An asked-for stop: this long for agent and ACPI, then this long for the hypervisor to quit.
GRACE_S = 30.0
FORCE_S = 5.0
#: A driver that lost its daemon gives the guest this long by agent, then by ACPI, before force.
AGENT_S = 6.0
ACPI_S = 4.0


async def stop(
    subject: machine.Machine,
    *,
    force: bool = False,
    grace_s: float = GRACE_S,
    event: states.Event = states.Event.STOP_ASKED,
) -> None:
    """Bring the VM to rest; an ``up`` under way is cancelled. Idempotent.

    With ``event`` DAEMON_STOPPING the desired state is kept.
    """
    if subject.up is not None:
        by = "a stop" if event is states.Event.STOP_ASKED else "the end of the daemon"
        subject.up.cancel(f"the `up` of VM {subject.name} was cancelled by {by}")
    async with subject.serial:
        if subject.state.observed in AT_REST:
            if event is states.Event.STOP_ASKED:
                await subject.apply(event)
            if subject.driver is not None:
                await subject.driver.leave(machine.LEAVE_S)
            return
        await _take_down(subject, event, force=force, grace_s=grace_s)


async def undo(subject: machine.Machine, *, created: bool) -> None:
    """Undo an ``up`` that was withdrawn: a new VM is removed, an old one returns to stopped.

    Called with ``serial`` held.
    """
    answered = subject.state.readiness not in (None, states.Readiness.BOOTING)
    if created:
        await subject.update(deleting=True)
        await _take_down(subject, states.Event.STOP_ASKED, force=True)
        await remove(subject)
    elif subject.state.observed in AT_REST:
        await subject.apply(states.Event.STOP_ASKED)
    else:
        await _take_down(subject, states.Event.STOP_ASKED, force=not answered)


async def destroy(subject: machine.Machine) -> int:
    """Stop the VM and remove everything of it; returns the bytes that became free."""
    if subject.up is not None:
        subject.up.cancel(f"the `up` of VM {subject.name} was cancelled by a destroy")
    async with subject.serial:
        if subject.hub.machines.get(subject.name) is not subject:
            raise errors.VmNotFound(f"VM {subject.name} was destroyed")
        await subject.update(deleting=True)
        if subject.state.observed not in AT_REST:
            # The disk is about to go: the guest gets time to end its work, not to save it.
            await _take_down(subject, states.Event.STOP_ASKED, force=True)
        return await remove(subject)


async def remove(subject: machine.Machine) -> int:
    """Remove directories, then the row, of a VM at rest that is marked ``deleting``."""
    hub = subject.hub
    if subject.driver is not None:
        await subject.driver.leave(machine.LEAVE_S)
    vm_dir = hub.paths.vm_dir(subject.name)
    run_dir = hub.paths.run_dir(subject.record.run_id)
    freed = await asyncio.to_thread(_remove_trees, vm_dir, run_dir)
    removed = hub.store.remove(subject.name)
    hub.events.emit("vm.removed", subject.name, {})  # in the same commit
    await removed
    hub.machines.pop(subject.name, None)
    hub.log_levels.pop(subject.name, None)
    subject.touch()
    return freed


async def shut_down(subject: machine.Machine, *, force: bool, grace_s: float = GRACE_S) -> None:
    """Let the guest shut down, then the driver leave; kill what does not. Changes no state."""
    driver = subject.driver
    if driver is None:
        return
    grace = 0.0 if force else grace_s
    subject.closing = True
    try:
        limits = {"grace_s": grace, "force_s": FORCE_S}
        await driver.call("vm.stop", limits, timeout_s=grace + FORCE_S + machine.LEAVE_S)
    except errors.GaoError as exc:
        logger.warning("vm %s: vm.stop: %s", subject.name, exc)
    finally:
        await driver.leave(machine.LEAVE_S)
        await subject.until(lambda: subject.driver is None)
        subject.closing = False
    subject.hub.events.emit("driver.stopped", subject.name, {})


async def _take_down(
    subject: machine.Machine, event: states.Event, *, force: bool, grace_s: float = GRACE_S
) -> None:
    if subject.state.observed not in AT_REST:
        await subject.apply(event)
    await shut_down(subject, force=force, grace_s=grace_s)
    if states.allowed(subject.state, states.Event.STOPPED):
        await subject.apply(states.Event.STOPPED)


def _remove_trees(*trees: Path) -> int:
    freed = 0
    for tree in trees:
        for folder, _, files in os.walk(tree):
            for name in files:
                freed += Path(folder, name).lstat().st_blocks * 512
        shutil.rmtree(tree, ignore_errors=True)
        if tree.exists():
            raise errors.PermissionMissing(f"{tree} cannot be removed")
    return freed
