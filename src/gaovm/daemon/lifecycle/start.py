"""The work of an ``up``: image, disk, driver, guest, and its undoing.

The intent is written before anything is made, so that a crash at any point leaves a row that says
what was begun. Every error ends with the driver gone (or, after a failed provisioning, with the VM
running and degraded), the error stored with the VM, and the same error raised.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Protocol

import msgspec

from gaovm import errors
from gaovm.aio import clock, steps, tasks
from gaovm.daemon import operations, paths, timestamps
from gaovm.daemon.config import changes
from gaovm.daemon.lifecycle import stop
from gaovm.daemon.storage import records
from gaovm.daemon.vms import approval, machine, ports
from gaovm.model import states, supervision
from gaovm.spec.vm import VmSpec, to_builtins

logger = logging.getLogger(__name__)

#: From the hypervisor's start to the agent's first message; TCG on a busy host takes a minute.
#: The driver's own limit is shorter and knows more; this one holds if the driver forgets.
BOOT_LIMIT_S = 900.0
#: ``vm.start`` returns when the hypervisor runs.
START_LIMIT_S = 60.0


class PreparedBoot(msgspec.Struct, frozen=True, kw_only=True):
    """What a driver boots from; ``launch`` and ``facts`` go into its LaunchRequest as they are."""

    image: records.ImageRef
    launch: dict[str, Any]
    facts: Any = None


class Preparer(Protocol):
    """Brings in image, initramfs and disk."""

    async def prepare(
        self, vm: machine.Machine, progress: operations.Listener, *, fresh_disk: bool
    ) -> PreparedBoot:
        """Everything the VM boots from, ready for use; safe to repeat and to cancel."""
        ...


class Up(operations.Operation[None]):
    """An ``up`` under way; ``created``: it made the VM; ``supervised``: the daemon began it.

    ``again``: it only runs the scripts of a VM that runs, and takes nothing down.

    Marks: ``intent`` (what is wanted is on disk), ``started`` (the hypervisor runs), ``agent``.
    """

    def __init__(
        self, name: str, *, created: bool, supervised: bool, again: bool, asked_at: float
    ) -> None:
        super().__init__(name)
        self.created = created
        self.again = again
        self.supervised = supervised
        self.asked_at = asked_at


class Starter:
    """Runs ``up`` on machines."""

    def __init__(self, preparer: Preparer, launcher: machine.Launcher, boot_id: str) -> None:
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

        ``again``: of a VM that runs, only its scripts and probes, as they stand in its config now.

        ``asked_at``: when the request was decoded (monotonic clock), which reading its config
        follows; without it the time counts from now.
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

    async def _work(
        self,
        vm: machine.Machine,
        operation: Up,
    ) -> None:
        try:
            async with vm.serial:
                if vm.fleet.machines.get(vm.name) is not vm:
                    raise errors.StateConflict(f"VM {vm.name} was destroyed meanwhile")
                try:
                    await self._bring_up(vm, operation)
                except errors.GaoError as exc:
                    await tasks.finish(_settle(vm, operation, exc))
                    raise
        except asyncio.CancelledError:
            if operation.withdrawn:
                await tasks.finish(_undo(vm, operation))
            raise
        finally:
            if vm.up is operation:
                vm.up = None

    async def _bring_up(
        self,
        vm: machine.Machine,
        operation: Up,
    ) -> None:
        if vm.driver is not None and vm.state.observed in states.AT_REST:
            await vm.driver.leave(machine.LEAVE_S)
        if operation.again:
            await changes.take_scripts(vm)
            await _run_scripts(vm)
        elif vm.state.readiness is None:
            await self._boot(vm, operation)
        operation.reach("intent")
        await _until_answered(vm, operation)
        operation.hold()
        operation.reach("agent")
        await _until_ready(vm)

    async def _boot(
        self,
        vm: machine.Machine,
        operation: Up,
    ) -> None:
        await changes.apply_pending(vm)
        # A disk on which no agent ever answered holds nothing of the user: begin it anew.
        fresh = not vm.record.disk_used
        await self._intend(vm, operation)
        await approval.check_paths(vm)
        _report(operation, "image", "looking for the image")
        driver, artefacts = await self._prepare(vm, operation, fresh_disk=fresh)
        vm.adopt(driver)
        await self._configure(vm, driver, artefacts)
        _report(operation, "boot", "starting the hypervisor")
        earlier = vm.console_size()
        await _start_hypervisor(vm, operation, driver)
        vm.console_from = earlier
        await _record_started(vm, driver)
        operation.reach("started")
        _report(operation, "boot", "booting")

    @steps.step
    async def _intend(self, vm: machine.Machine, operation: Up) -> None:
        record = vm.record
        vm.forget_failure()
        if operation.created:
            # In one transaction with the record: what is told of is there.
            vm.fleet.events.emit("vm.created", vm.name, {"project": record.project})
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
        self, vm: machine.Machine, operation: Up, *, fresh_disk: bool
    ) -> tuple[machine.Driver, PreparedBoot]:
        """Driver and artefacts, made side by side: neither needs the other."""
        _make_directories(vm)
        launching = tasks.spawn(self._launch(vm), name=f"vm {vm.name}: launch of the driver")
        try:
            artefacts = await self._prepare_artefacts(vm, operation, fresh_disk)
            _report(operation, "driver", "starting the driver")
            return await asyncio.shield(launching), artefacts
        except BaseException:
            await tasks.finish(_discard(launching))
            raise

    @steps.step
    async def _launch(self, vm: machine.Machine) -> machine.Driver:
        return await self._launcher.launch(vm)

    @steps.step
    async def _prepare_artefacts(
        self, vm: machine.Machine, operation: Up, fresh_disk: bool
    ) -> PreparedBoot:
        found = await self._preparer.prepare(vm, operation.report, fresh_disk=fresh_disk)
        vm.update(image=found.image)
        return found

    @steps.step
    async def _configure(
        self, vm: machine.Machine, driver: machine.Driver, artefacts: PreparedBoot
    ) -> None:
        where, record = vm.fleet.paths, vm.record
        request = {
            "spec": to_builtins(with_added_ports(record)),
            "home": str(where.home),
            "cache": str(paths.cache_directory()),
            "vm_dir": str(where.vm_dir(record.name)),
            "run_dir": str(where.run_dir(record.run_id)),
            "artefacts": artefacts.launch,
            "facts": artefacts.facts,
            # Lima runs provision scripts at every boot, and files written for it rely on that.
            "provision": True,
            "host_ports": ports.earlier(record),
            "stop": {"agent_s": stop.AGENT_S, "acpi_s": stop.ACPI_S},
        }
        chosen = await driver.call("vm.configure", request, timeout_s=START_LIMIT_S)
        try:
            facts = msgspec.convert(chosen, records.Facts)
        except msgspec.ValidationError as exc:
            raise errors.InvalidReply(f"vm.configure: {exc}") from exc
        vm.update(facts=facts)


@steps.step
def _make_directories(vm: machine.Machine) -> None:
    where = vm.fleet.paths
    for directory in (where.vm_dir(vm.name), where.run_dir(vm.record.run_id)):
        directory.mkdir(mode=0o700, exist_ok=True)


@steps.step
async def _start_hypervisor(vm: machine.Machine, operation: Up, driver: machine.Driver) -> None:
    started = await driver.call("vm.start", {}, timeout_s=START_LIMIT_S)
    vm.hypervisor_pid = _integer(started.get("hypervisor_pid"))
    if isinstance(exec_at := started.get("exec_at"), float):
        spent = (exec_at - operation.asked_at) * 1000
        vm.timings["request_to_exec_ms"] = round(spent, 2)


@steps.step
async def _record_started(vm: machine.Machine, driver: machine.Driver) -> None:
    socket = vm.fleet.paths.driver_socket(vm.record.run_id)
    payload = {"pid": driver.pid, "socketPath": str(socket)}
    vm.fleet.events.emit("driver.started", vm.name, payload)
    if vm.state.observed is states.Observed.STARTING:
        vm.apply(states.Event.HYPERVISOR_STARTED, started_at=timestamps.now())
    else:
        vm.update(started_at=timestamps.now())


async def _discard(launching: asyncio.Task[machine.Driver]) -> None:
    """Make a driver leave that is not wanted any more, whether it is there already or not."""
    launching.cancel()
    try:
        driver = await launching
    except (asyncio.CancelledError, errors.GaoError):
        return
    await driver.leave(machine.LEAVE_S)


def with_added_ports(record: records.VmRecord) -> VmSpec:
    """The spec with the ports that were added by hand."""
    network = record.spec.network
    wanted = (*network.forwards, *record.added_ports)
    return msgspec.structs.replace(
        record.spec, network=msgspec.structs.replace(network, forwards=wanted)
    )


@steps.step
async def _run_scripts(vm: machine.Machine) -> None:
    if vm.driver is None:
        raise errors.StateConflict(
            f"VM {vm.name} is not running",
            actions=(errors.Action("start_vm", name=vm.name),),
        )
    vm.forget_failure()
    inside = vm.record.spec.guest
    wanted = {"provision": inside.provision, "probes": inside.probes}
    await vm.driver.call("guest.provision", msgspec.to_builtins(wanted))


@steps.step
async def _until_answered(vm: machine.Machine, operation: Up) -> None:
    try:
        async with asyncio.timeout(BOOT_LIMIT_S):
            await vm.until(lambda: _settled(vm, states.Readiness.AGENT))
    except TimeoutError as exc:
        raise errors.BootFailed(
            f"the agent of VM {vm.name} did not answer within {BOOT_LIMIT_S:.0f} s",
            remedy=f"see {vm.fleet.paths.serial_log(vm.name)}",
        ) from exc
    _raise_if_ended(vm)
    await refresh(vm)
    if vm.state.readiness is not states.Readiness.READY:
        _report(operation, "agent", "the agent answers")


@steps.step
async def _until_ready(vm: machine.Machine) -> None:
    await vm.until(lambda: _settled(vm, states.Readiness.READY))
    _raise_if_ended(vm)
    if vm.state.readiness is states.Readiness.DEGRADED and not is_passing(vm):
        raise vm.last_failure() or errors.GuestUnavailable(
            f"VM {vm.name} runs but did not become ready"
        )
    await refresh(vm)


def is_passing(vm: machine.Machine) -> bool:
    """Whether what a VM lacks comes back by itself, and it can be worked with meanwhile."""
    failure = vm.record.last_error
    return failure is not None and failure.code == errors.NetworkLost.code


def _settled(vm: machine.Machine, wait: states.Readiness) -> bool:
    state = vm.state
    if state.observed not in (states.Observed.STARTING, states.Observed.RUNNING):
        return True
    return states.is_up(state, wait) or state.readiness is states.Readiness.DEGRADED


def _raise_if_ended(vm: machine.Machine) -> None:
    if vm.state.observed is states.Observed.RUNNING:
        return
    raise vm.last_failure() or errors.BootFailed(
        f"VM {vm.name} switched itself off before it was up",
        remedy=f"see {vm.fleet.paths.serial_log(vm.name)}",
    )


async def refresh(vm: machine.Machine) -> None:
    """Take over boot times and ports as the driver has them now; not worth failing for."""
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


async def _undo(vm: machine.Machine, operation: Up) -> None:
    async with vm.serial:
        if vm.fleet.machines.get(vm.name) is vm:
            await stop.undo(vm, created=operation.created)


async def _settle(vm: machine.Machine, operation: Up, error: errors.GaoError) -> None:
    """After a failed ``up``: a VM that runs stays for inspection, anything else is taken down."""
    if operation.again and vm.driver is not None:
        return  # the VM runs as before, and says itself what became of its scripts
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
        # Its end was told already; this is what whoever waited for the `up` is told.
        vm.fail(error)
    payload = {"error": error.message}
    vm.fleet.events.emit("driver.start_failed", vm.name, payload)


def _report(operation: Up, phase: str, message: str) -> None:
    operation.report({"phase": phase, "message": message})


def _integer(value: object) -> int | None:
    return value if isinstance(value, int) else None
