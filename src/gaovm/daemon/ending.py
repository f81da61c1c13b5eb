"""Stopping, destroying and undoing: everything that takes a VM down.

A stop goes on when its caller goes away. A destroy writes its intent first, so that the next start
of the daemon finishes one that was cut short.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from gaovm import errors
from gaovm.aio import steps
from gaovm.daemon import machine, occupancy
from gaovm.model import states

logger = logging.getLogger(__name__)

#: A driver that lost its daemon gives the guest this long by agent, then by ACPI, before force.
AGENT_S = 6.0
ACPI_S = 4.0

_WHO = {
    states.Event.STOP_ASKED: "a stop",
    states.Event.RESTART_ASKED: "a restart",
    states.Event.DAEMON_STOPPING: "the end of the daemon",
}


class Limits:
    """How a VM is taken down; ``grace_s`` None: as its config says."""

    def __init__(self, *, force: bool = False, grace_s: float | None = None) -> None:
        self.force = force
        self._grace_s = grace_s

    def of(self, subject: machine.Machine) -> tuple[float, float]:
        """Seconds for the guest to end itself, then for the hypervisor to quit."""
        wanted = subject.record.spec.supervision.stop
        if self.force:
            return 0.0, wanted.force_s
        return wanted.grace_s if self._grace_s is None else self._grace_s, wanted.force_s


GENTLE = Limits()
FORCED = Limits(force=True)


async def stop(
    subject: machine.Machine,
    *,
    limits: Limits = GENTLE,
    event: states.Event = states.Event.STOP_ASKED,
    on_intent: Callable[[], None] = lambda: None,
) -> None:
    """Bring the VM to rest; an ``up`` under way is cancelled. Idempotent.

    ``event`` says what is wanted afterwards: STOP_ASKED, RESTART_ASKED or DAEMON_STOPPING.
    ``on_intent`` is called when that is on disk.
    """
    if subject.up is not None:
        subject.up.cancel(f"the `up` of VM {subject.name} was cancelled by {_WHO[event]}")
    async with _turn(subject):
        if subject.state.observed in states.AT_REST:
            if event is not states.Event.DAEMON_STOPPING:
                await _intend(subject, event)
            on_intent()
            await _let_driver_go(subject)
            await _nobody_is_left(subject, force=limits.force)
            return
        await _take_down(subject, event, limits, on_intent)


@contextlib.asynccontextmanager
async def _turn(subject: machine.Machine) -> AsyncIterator[None]:
    """The machine's turn for an ending, which counts from when it is asked for.

    Whoever has the turn before, a recovery that waits for an old driver, the end of a restart,
    sees that an ending waits and begins no ``up`` that would come after it.
    """
    subject.endings += 1
    try:
        async with subject.serial:
            yield
    finally:
        subject.endings -= 1


async def undo(subject: machine.Machine, *, created: bool) -> None:
    """Undo an ``up`` that was withdrawn: a new VM is removed, an old one returns to stopped.

    Called with ``serial`` held.
    """
    answered = subject.state.readiness not in (None, states.Readiness.BOOTING)
    if created:
        await _mark_deleting(subject)
        await _take_down(subject, states.Event.STOP_ASKED, FORCED)
        await remove(subject)
    elif subject.state.observed in states.AT_REST:
        await _intend(subject, states.Event.STOP_ASKED)
    else:
        await _take_down(subject, states.Event.STOP_ASKED, GENTLE if answered else FORCED)


async def destroy(subject: machine.Machine) -> int:
    """Stop the VM and remove everything of it; returns the bytes that became free."""
    if subject.up is not None:
        subject.up.cancel(f"the `up` of VM {subject.name} was cancelled by a destroy")
    async with _turn(subject):
        if subject.hub.machines.get(subject.name) is not subject:
            raise errors.VmNotFound(f"VM {subject.name} was destroyed")
        await _mark_deleting(subject)
        if subject.state.observed is states.Observed.BACKOFF:
            await _intend(subject, states.Event.STOP_ASKED)
        if subject.state.observed not in states.AT_REST:
            # The disk is about to go: the guest gets time to end its work, not to save it.
            await _take_down(subject, states.Event.STOP_ASKED, FORCED)
        return await remove(subject)


async def remove(subject: machine.Machine) -> int:
    """Remove directories, then the row, of a VM at rest that is marked ``deleting``."""
    await _let_driver_go(subject)
    await _nobody_is_left(subject, force=True)
    async with subject.config:  # nobody is writing a config file there
        freed = await _remove_directories(subject)
    await _forget(subject)
    return freed


async def shut_down(subject: machine.Machine, limits: Limits) -> None:
    """Let the guest shut down, then the driver leave; kill what does not. Changes no state."""
    if subject.driver is None:
        return
    subject.closing = True
    try:
        await _end_guest(subject, subject.driver, *limits.of(subject))
    except errors.GaoError as exc:
        logger.warning("vm %s: vm.stop: %s", subject.name, exc)
    finally:
        await _let_driver_go(subject)
        await subject.until(lambda: subject.driver is None)
        subject.closing = False
    subject.hub.events.emit("driver.stopped", subject.name, {})


async def _take_down(
    subject: machine.Machine,
    event: states.Event,
    limits: Limits,
    on_intent: Callable[[], None] = lambda: None,
) -> None:
    if subject.state.observed not in states.AT_REST:
        await _intend(subject, event)
    on_intent()
    await shut_down(subject, limits)
    failure: errors.LockHeld | None = None
    try:
        await _nobody_is_left(subject, force=limits.force)
    except errors.LockHeld as exc:
        failure = exc
    if states.allowed(subject.state, states.Event.STOPPED):
        await _record_stopped(subject, failure)
    if failure is not None:
        raise failure


# the steps


async def written(change: asyncio.Future[None], subject: machine.Machine) -> None:
    """Wait until a change is on disk, and go on where it cannot be written.

    A full disk must not keep a VM from ending: this daemon knows what is wanted, and writes it
    down as soon as it can (``Machine.unwritten``).
    """
    try:
        await change
    except (errors.DiskFull, errors.StateCorrupt) as exc:
        logger.error("vm %s: goes on, though it is not written down: %s", subject.name, exc)


@steps.step
async def _intend(subject: machine.Machine, event: states.Event) -> None:
    await written(subject.apply(event), subject)


@steps.step
async def _mark_deleting(subject: machine.Machine) -> None:
    await written(subject.update(deleting=True), subject)


@steps.step
async def _end_guest(
    subject: machine.Machine, driver: machine.Driver, grace_s: float, force_s: float
) -> None:
    limits = {"grace_s": grace_s, "force_s": force_s}
    await driver.call("vm.stop", limits, timeout_s=grace_s + force_s + machine.LEAVE_S)


@steps.step
async def _let_driver_go(subject: machine.Machine) -> None:
    if subject.driver is not None:
        await subject.driver.leave(machine.LEAVE_S)


@steps.step
async def _nobody_is_left(subject: machine.Machine, *, force: bool) -> None:
    """Make sure that no process has the VM, one that this daemon does not know of included.

    Raises:
        errors.LockHeld: a driver that has lost its daemon does not leave, and may not be killed.
    """
    if not occupancy.held(subject):
        return
    if force:
        occupancy.kill(subject)
    await occupancy.until_free(subject, occupancy.OLD_DRIVER_S)


@steps.step
async def _record_stopped(subject: machine.Machine, failure: errors.LockHeld | None) -> None:
    await written(subject.apply(states.Event.STOPPED, failure), subject)


@steps.step
async def _remove_directories(subject: machine.Machine) -> int:
    where = subject.hub.paths
    vm_dir, run_dir = where.vm_dir(subject.name), where.run_dir(subject.record.run_id)
    return await asyncio.to_thread(_remove_trees, vm_dir, run_dir)


@steps.step
async def _forget(subject: machine.Machine) -> None:
    hub = subject.hub
    # Not `written`: a row without its files would be a VM again for the next daemon.
    removed = hub.store.remove(subject.name)
    hub.events.forget(subject.name)
    hub.events.emit("vm.removed", subject.name, {})  # in the same commit
    await removed
    hub.machines.pop(subject.name, None)
    hub.log_levels.pop(subject.name, None)
    subject.touch()


def _remove_trees(*trees: Path) -> int:
    freed = 0
    for tree in trees:
        for folder, _, names in os.walk(tree):
            for name in names:
                freed += Path(folder, name).lstat().st_blocks * 512
        shutil.rmtree(tree, ignore_errors=True)
        if tree.exists():
            raise errors.PermissionMissing(f"{tree} cannot be removed")
    return freed
