"""The work of an ``up``, whichever way the VM is started, and what follows when it fails.

The intent is written before anything is made, so that a crash at any point leaves a row that says
what was begun. How the VM gets from rest to an agent that answers is a strategy's
(``strategies``). Every error ends with the driver gone (or, after a failed provisioning, with the
VM running and degraded), the error stored with the VM, and the same error raised.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

import msgspec

from gaovm import errors
from gaovm.aio import clock, steps, tasks
from gaovm.daemon import operations, timestamps
from gaovm.daemon.config import changes
from gaovm.daemon.lifecycle import stop, waiting
from gaovm.daemon.lifecycle.strategies import cold_boot, protocol
from gaovm.daemon.vms import approval, copied, driver_protocol, driver_watch, machine
from gaovm.model import phases, states, supervision
from gaovm.wire.control import payloads
from gaovm.wire.control.progress import Progress
from gaovm.wire.driver import params, table


class Launcher(Protocol):
    """Starts drivers."""

    async def launch(self, vm: machine.Machine) -> driver_protocol.Driver:
        """A driver whose handshake is done and whose notifications go to the machine."""
        ...


class Up(operations.Operation[None]):
    """An ``up`` under way.

    ``created``: it made the VM. ``supervised``: the daemon began it. ``again``: it only runs the
    scripts of a VM that runs, and takes nothing down. ``strategy``: how it starts the VM, as soon
    as that is decided.

    Marks: ``intent`` (the desired state is on disk), ``started`` (the hypervisor runs), ``agent``.
    """

    def __init__(
        self, name: str, *, created: bool, supervised: bool, again: bool, asked_at: float
    ) -> None:
        super().__init__(name)
        self.created = created
        self.again = again
        self.supervised = supervised
        self.asked_at = asked_at
        self.strategy: protocol.Strategy | None = None


class Starter:
    """Runs ``up`` on machines."""

    def __init__(self, preparer: cold_boot.Preparer, launcher: Launcher, boot_id: str) -> None:
        self._preparer = preparer
        self._launcher = launcher
        self._boot_id = boot_id

    def begin(
        self,
        vm: machine.Machine,
        *,
        created: bool,
        supervised: bool = False,
        again: bool = False,
        asked_at: float | None = None,
    ) -> Up:
        """Start the operation.

        ``again``: only run the scripts and probes of a running VM, as its config has them now.

        ``asked_at``: when the request was decoded (monotonic clock), before its config was
        read; if not given, the time counts from now.
        """
        began = clock.monotonic() if asked_at is None else asked_at
        operation = Up(
            f"vm {vm.name}: up",
            created=created,
            supervised=supervised,
            again=again,
            asked_at=began,
        )
        if again:
            operation.keep()
        vm.up = operation
        work = self._work(vm, operation)
        operation.start(vm.fleet.owner, work)
        vm.touch()
        return operation

    def choose(self, vm: machine.Machine, operation: Up) -> protocol.Strategy:
        """Return how to start the VM: a cold boot, because no other way exists yet.

        The one place that decides between strategies. A VM with a saved state will be restored
        here, and one that is made from a warm template cloned.
        """
        return cold_boot.ColdBoot(vm, self._preparer, operation.report, asked_at=operation.asked_at)

    async def _work(self, vm: machine.Machine, operation: Up) -> None:
        try:
            async with vm.serial:
                if not vm.fleet.knows(vm):
                    raise errors.StateConflict(f"VM {vm.name} was destroyed meanwhile")
                try:
                    await self._bring_up(vm, operation)
                except errors.GaoError as exc:
                    await tasks.finish(_settle(vm, operation, exc))
                    raise
        except asyncio.CancelledError:
            if operation.withdrawn:
                await tasks.finish(self._undo(vm, operation))
            raise
        finally:
            if vm.up is operation:
                vm.up = None

    async def _undo(self, vm: machine.Machine, operation: Up) -> None:
        async with vm.serial:
            if vm.fleet.knows(vm):
                strategy = operation.strategy or self.choose(vm, operation)
                await strategy.undo(created=operation.created)

    async def _bring_up(self, vm: machine.Machine, operation: Up) -> None:
        if vm.driver is not None and vm.state.observed in states.AT_REST:
            await vm.driver.leave(driver_protocol.LEAVE_S)
        strategy = operation.strategy = self.choose(vm, operation)
        if operation.again:
            await changes.take_scripts(vm)
            await _run_scripts(vm)
        elif vm.state.readiness is None:
            await self._start(vm, operation, strategy)
        operation.reach("intent")
        await strategy.until_answered()
        if vm.state.readiness is not states.Readiness.READY:
            _report(operation, phases.AGENT, "the agent answers")
        operation.hold()
        operation.reach("agent")
        await waiting.until_ready(vm)
        await _copy_to_host(vm)

    async def _start(self, vm: machine.Machine, operation: Up, strategy: protocol.Strategy) -> None:
        await strategy.take_config()
        await self._intend(vm, operation)
        await approval.check_paths(vm)
        driver = await self._prepare(vm, strategy)
        driver_watch.adopt(vm, driver)
        await strategy.configure(driver)
        await strategy.begin(driver)
        await _record_started(vm, driver)
        operation.reach("started")

    @steps.step
    async def _intend(self, vm: machine.Machine, operation: Up) -> None:
        record = vm.record
        vm.forget_failure()
        if operation.created:
            # In one transaction with the record: the event reports what is on disk.
            vm.fleet.events.tell(vm.name, payloads.VmCreated(project=record.project))
        restarts = record.restarts if operation.supervised else supervision.History()
        await vm.apply(
            states.Event.UP_ASKED,
            facts=msgspec.structs.replace(record.facts, boot=None),
            last_error=None,
            boot_id=self._boot_id,
            restarts=msgspec.structs.replace(restarts, due_at=None),
        )
        operation.reach("intent")

    async def _prepare(
        self, vm: machine.Machine, strategy: protocol.Strategy
    ) -> driver_protocol.Driver:
        """Launch the driver while the strategy prepares what it works with; returns the driver."""
        _make_directories(vm)
        launching = tasks.spawn(self._launch(vm), name=f"vm {vm.name}: launch of the driver")
        try:
            await strategy.prepare()
            return await asyncio.shield(launching)
        except BaseException:
            await tasks.finish(_discard(launching))
            raise

    @steps.step
    async def _launch(self, vm: machine.Machine) -> driver_protocol.Driver:
        return await self._launcher.launch(vm)


@steps.step
def _make_directories(vm: machine.Machine) -> None:
    where = vm.fleet.paths
    for directory in (where.vm_dir(vm.name), where.run_dir(vm.record.run_id)):
        directory.mkdir(mode=0o700, exist_ok=True)


@steps.step
async def _record_started(vm: machine.Machine, driver: driver_protocol.Driver) -> None:
    socket = vm.fleet.paths.driver_socket(vm.record.run_id)
    payload = payloads.DriverStarted(pid=driver.pid, socket_path=str(socket))
    vm.fleet.events.tell(vm.name, payload)
    if vm.state.observed is states.Observed.STARTING:
        vm.apply(states.Event.HYPERVISOR_STARTED, started_at=timestamps.now())
    else:
        vm.update(started_at=timestamps.now())


async def _discard(launching: asyncio.Task[driver_protocol.Driver]) -> None:
    """Make an unwanted driver leave, even one that has not started yet."""
    launching.cancel()
    try:
        driver = await launching
    except (asyncio.CancelledError, errors.GaoError):
        return
    await driver.leave(driver_protocol.LEAVE_S)


async def _copy_to_host(vm: machine.Machine) -> None:
    """Copy the guest's files to the host; a VM whose files cannot be copied is degraded."""
    if vm.state.readiness is not states.Readiness.READY:
        return
    try:
        await copied.place(vm)
    except errors.GaoError as exc:
        if vm.state.readiness is states.Readiness.READY:  # it may have died meanwhile
            await vm.apply(states.Event.DEGRADED, exc)
        raise


@steps.step
async def _run_scripts(vm: machine.Machine) -> None:
    if vm.driver is None:
        raise errors.StateConflict(
            f"VM {vm.name} is not running",
            actions=(errors.Action("start_vm", name=vm.name),),
        )
    vm.forget_failure()
    inside = vm.record.spec.guest
    wanted = params.Provision(
        provision=inside.provision,
        probes=inside.probes,
        copies=inside.copies,
        set_up=vm.record.spec.supervision.set_up,
    )
    await vm.driver.call(table.GUEST_PROVISION, wanted)


async def _settle(vm: machine.Machine, operation: Up, error: errors.GaoError) -> None:
    """After a failed ``up``: leave a VM that runs for inspection, take any other down."""
    if operation.again and vm.driver is not None:
        return  # the VM runs as before; its driver reports how the scripts ended
    degraded = vm.state.readiness is states.Readiness.DEGRADED
    if degraded:
        await vm.apply(states.Event.UP_FAILED, error)
        return
    if vm.driver is not None:
        await stop.shut_down(vm, stop.FORCED)
    if vm.state.observed in (states.Observed.STARTING, states.Observed.RUNNING):
        if operation.supervised or isinstance(error, errors.RuntimeFailure):
            vm.fleet.supervisor.ended(vm, supervision.Ending.START_FAILED, error)
        else:
            await vm.apply(states.Event.START_FAILED, error)
    elif vm.state.observed is not states.Observed.BACKOFF:
        # Its end was reported already; this error is for those who wait for the `up`.
        vm.fail(error)
    vm.fleet.events.tell(vm.name, payloads.DriverStartFailed(error=error.message))


def _report(operation: Up, phase: str, message: str) -> None:
    operation.report(Progress(phase=phase, message=message))
