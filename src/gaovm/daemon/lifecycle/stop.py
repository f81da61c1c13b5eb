"""Stopping, destroying and undoing: everything that takes a VM down.

A stop goes on when its caller goes away. A destroy writes its intent first, so that the next daemon
finishes one that was cut short.
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
from gaovm.daemon.drivers import occupancy
from gaovm.daemon.vms import copied, driver_protocol, driver_watch, machine
from gaovm.model import states
from gaovm.openssh import userfiles
from gaovm.wire.control import payloads
from gaovm.wire.driver import params, table

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

    def of(self, vm: machine.Machine) -> tuple[float, float]:
        """Seconds for the guest to end itself, then for the hypervisor to quit."""
        wanted = vm.record.spec.supervision.stop
        if self.force:
            return 0.0, wanted.force_s
        return wanted.grace_s if self._grace_s is None else self._grace_s, wanted.force_s


GENTLE = Limits()
FORCED = Limits(force=True)


async def stop(
    vm: machine.Machine,
    *,
    limits: Limits = GENTLE,
    event: states.Event = states.Event.STOP_ASKED,
    on_intent: Callable[[], None] = lambda: None,
) -> None:
    """Bring the VM to rest; an ``up`` under way is cancelled. Idempotent.

    ``event`` says what is wanted afterwards: STOP_ASKED, RESTART_ASKED or DAEMON_STOPPING.
    ``on_intent`` is called when that is on disk.
    """
    if vm.up is not None:
        vm.up.cancel(f"the `up` of VM {vm.name} was cancelled by {_WHO[event]}")
    async with _turn(vm):
        if vm.state.observed in states.AT_REST:
            if event is not states.Event.DAEMON_STOPPING:
                await _intend(vm, event)
            on_intent()
            await _let_driver_go(vm)
            await _nobody_is_left(vm, force=limits.force)
            return
        await _take_down(vm, event, limits, on_intent)


@contextlib.asynccontextmanager
async def _turn(vm: machine.Machine) -> AsyncIterator[None]:
    """Take the machine's turn to end it; the wish counts from the moment of the call.

    An operation that holds the turn (a recovery that waits for an old driver, the end of a restart)
    sees that an ending waits, and begins no ``up`` that would come after it.
    """
    vm.endings += 1
    try:
        async with vm.serial:
            yield
    finally:
        vm.endings -= 1


async def undo(vm: machine.Machine, *, created: bool) -> None:
    """Undo an ``up`` that was withdrawn: a new VM is removed, an old one returns to stopped.

    Called with ``serial`` held.
    """
    answered = vm.state.readiness not in (None, states.Readiness.BOOTING)
    if created:
        await _mark_deleting(vm)
        await _take_down(vm, states.Event.STOP_ASKED, FORCED)
        await remove(vm)
    elif vm.state.observed in states.AT_REST:
        await _intend(vm, states.Event.STOP_ASKED)
    else:
        await _take_down(vm, states.Event.STOP_ASKED, GENTLE if answered else FORCED)


async def destroy(vm: machine.Machine) -> int:
    """Stop the VM and remove everything of it; returns the bytes that became free."""
    if vm.up is not None:
        vm.up.cancel(f"the `up` of VM {vm.name} was cancelled by a destroy")
    async with _turn(vm):
        if not vm.fleet.knows(vm):
            raise errors.VmNotFound(f"VM {vm.name} was destroyed")
        await _mark_deleting(vm)
        if vm.state.observed is states.Observed.BACKOFF:
            await _intend(vm, states.Event.STOP_ASKED)
        if vm.state.observed not in states.AT_REST:
            # The disk is about to go: the guest gets time to end its work, not to save it.
            await _take_down(vm, states.Event.STOP_ASKED, FORCED)
        return await remove(vm)


async def remove(vm: machine.Machine) -> int:
    """Remove directories, then the row, of a VM at rest that is marked ``deleting``."""
    await _let_driver_go(vm)
    await _nobody_is_left(vm, force=True)
    await driver_watch.sweep_host_sockets(vm)  # the list of them lies in the VM's directory
    async with vm.config:  # nobody is writing a config file there
        freed = await _remove_directories(vm)
    await _forget(vm)
    return freed


async def shut_down(vm: machine.Machine, limits: Limits) -> None:
    """Let the guest shut down, then the driver leave; kill what does not. Changes no state."""
    if vm.driver is None:
        return
    vm.closing = True
    try:
        await _end_guest(vm, vm.driver, *limits.of(vm))
    except errors.GaoError as exc:
        logger.warning("vm %s: vm.stop: %s", vm.name, exc)
    finally:
        await _let_driver_go(vm)
        await vm.until(lambda: vm.driver is None)
        vm.closing = False
    vm.fleet.events.tell(vm.name, payloads.DriverStopped())


async def _take_down(
    vm: machine.Machine,
    event: states.Event,
    limits: Limits,
    on_intent: Callable[[], None] = lambda: None,
) -> None:
    if vm.state.observed not in states.AT_REST:
        await _intend(vm, event)
    on_intent()
    await shut_down(vm, limits)
    failure: errors.LockHeld | None = None
    try:
        await _nobody_is_left(vm, force=limits.force)
    except errors.LockHeld as exc:
        failure = exc
    await copied.remove(vm)
    if states.allowed(vm.state, states.Event.STOPPED):
        await _record_stopped(vm, failure)
    if failure is not None:
        raise failure


# the steps


async def written(change: asyncio.Future[None], vm: machine.Machine) -> None:
    """Wait until a change is on disk, and go on where it cannot be written.

    A full disk must not keep a VM from ending: the daemon remembers what is wanted, and writes it
    down as soon as it can (``Machine.unwritten``).
    """
    try:
        await change
    except (errors.DiskFull, errors.StateCorrupt) as exc:
        logger.error("vm %s: goes on, though it is not written down: %s", vm.name, exc)


@steps.step
async def _intend(vm: machine.Machine, event: states.Event) -> None:
    await written(vm.apply(event), vm)


@steps.step
async def _mark_deleting(vm: machine.Machine) -> None:
    await written(vm.update(deleting=True), vm)


@steps.step
async def _end_guest(
    vm: machine.Machine, driver: driver_protocol.Driver, grace_s: float, force_s: float
) -> None:
    limits = params.Stop(grace_s=grace_s, force_s=force_s)
    limit_s = grace_s + force_s + driver_protocol.LEAVE_S
    await driver.call(table.VM_STOP, limits, timeout_s=limit_s)


@steps.step
async def _let_driver_go(vm: machine.Machine) -> None:
    if vm.driver is not None:
        await vm.driver.leave(driver_protocol.LEAVE_S)


@steps.step
async def _nobody_is_left(vm: machine.Machine, *, force: bool) -> None:
    """Make sure that no process has the VM, not even one that this daemon does not know.

    Raises:
        errors.LockHeld: a driver that has lost its daemon does not leave, and may not be killed.
    """
    if not occupancy.held(vm):
        return
    if force:
        occupancy.kill(vm)
    await occupancy.until_free(vm, occupancy.OLD_DRIVER_S)


@steps.step
async def _record_stopped(vm: machine.Machine, failure: errors.LockHeld | None) -> None:
    await written(vm.apply(states.Event.STOPPED, failure), vm)


@steps.step
async def _remove_directories(vm: machine.Machine) -> int:
    where = vm.fleet.paths
    vm_dir, run_dir = where.vm_dir(vm.name), where.run_dir(vm.record.run_id)
    await asyncio.to_thread(_forget_alias, str(where.home), vm.name)
    return await asyncio.to_thread(_remove_trees, vm_dir, run_dir)


@steps.step
async def _forget(vm: machine.Machine) -> None:
    fleet = vm.fleet
    # Not `written`: a row without its files would be a VM again for the next daemon.
    removed = fleet.store.remove(vm.name)
    fleet.events.forget(vm.name)
    fleet.events.tell(vm.name, payloads.VmRemoved())  # in the same commit
    await removed
    fleet.forget(vm)
    vm.touch()


def _forget_alias(home: str, name: str) -> None:
    """Remove the VM's alias for OpenSSH; no file of the user's may keep a VM from going."""
    try:
        userfiles.forget(home, name)
    except (OSError, RuntimeError, errors.GaoError) as exc:
        logger.warning("vm %s: the alias for ssh stays: %s", name, exc)


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
