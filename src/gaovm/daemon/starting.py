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
from gaovm.daemon import approval, ending, forwards, machine, operations, paths, stamps
from gaovm.daemon.config import staging
from gaovm.daemon.storage import records
from gaovm.model import states, supervision
from gaovm.spec import vm

logger = logging.getLogger(__name__)

#: From the hypervisor's start to the agent's first message; TCG on a busy host takes a minute.
#: The driver's own limit is shorter and knows more; this one holds if the driver forgets.
BOOT_LIMIT_S = 900.0
#: ``vm.start`` returns when the hypervisor runs.
START_LIMIT_S = 60.0


class Artefacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a driver boots from; ``launch`` and ``facts`` go into its LaunchRequest as they are."""

    image: records.ImageRef
    launch: dict[str, Any]
    facts: Any = None


class Preparer(Protocol):
    """Brings in image, initramfs and disk."""

    async def prepare(
        self, subject: machine.Machine, progress: operations.Listener, *, fresh_disk: bool
    ) -> Artefacts:
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
        subject: machine.Machine,
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
            f"vm {subject.name}: up",
            created=created,
            supervised=supervised,
            again=again,
            asked_at=began,
        )
        if again:
            operation.keep()
        subject.up = operation
        work = self._work(subject, operation)
        operation.start(subject.hub.owner, work)
        subject.touch()
        return operation

    async def _work(
        self,
        subject: machine.Machine,
        operation: Up,
    ) -> None:
        try:
            async with subject.serial:
                if subject.hub.machines.get(subject.name) is not subject:
                    raise errors.StateConflict(f"VM {subject.name} was destroyed meanwhile")
                try:
                    await self._bring_up(subject, operation)
                except errors.GaoError as exc:
                    await tasks.finish(_settle(subject, operation, exc))
                    raise
        except asyncio.CancelledError:
            if operation.withdrawn:
                await tasks.finish(_undo(subject, operation))
            raise
        finally:
            if subject.up is operation:
                subject.up = None

    async def _bring_up(
        self,
        subject: machine.Machine,
        operation: Up,
    ) -> None:
        if subject.driver is not None and subject.state.observed in states.AT_REST:
            await subject.driver.leave(machine.LEAVE_S)
        if operation.again:
            await staging.take_scripts(subject)
            await _run_scripts(subject)
        elif subject.state.readiness is None:
            await self._boot(subject, operation)
        operation.reach("intent")
        await _until_answered(subject, operation)
        operation.hold()
        operation.reach("agent")
        await _until_ready(subject)

    async def _boot(
        self,
        subject: machine.Machine,
        operation: Up,
    ) -> None:
        await staging.apply_pending(subject)
        # A disk on which no agent ever answered holds nothing of the user: begin it anew.
        fresh = not subject.record.disk_used
        await self._intend(subject, operation)
        await approval.check_paths(subject)
        _report(operation, "image", "looking for the image")
        driver, artefacts = await self._prepare(subject, operation, fresh_disk=fresh)
        subject.adopt(driver)
        await self._configure(subject, driver, artefacts)
        _report(operation, "boot", "starting the hypervisor")
        earlier = subject.console_size()
        await _start_hypervisor(subject, operation, driver)
        subject.console_from = earlier
        await _record_started(subject, driver)
        operation.reach("started")
        _report(operation, "boot", "booting")

    @steps.step
    async def _intend(self, subject: machine.Machine, operation: Up) -> None:
        record = subject.record
        subject.forget_failure()
        if operation.created:
            # In one transaction with the record: what is told of is there.
            subject.hub.events.emit("vm.created", subject.name, {"project": record.project})
        restarts = record.restarts if operation.supervised else supervision.History()
        await subject.apply(
            states.Event.UP_ASKED,
            facts=msgspec.structs.replace(record.facts, boot=None),
            last_error=None,
            boot_id=self._boot_id,
            restarts=msgspec.structs.replace(restarts, due_at=None),
        )
        operation.reach("intent")

    async def _prepare(
        self, subject: machine.Machine, operation: Up, *, fresh_disk: bool
    ) -> tuple[machine.Driver, Artefacts]:
        """Driver and artefacts, made side by side: neither needs the other."""
        _make_directories(subject)
        launching = tasks.spawn(
            self._launch(subject), name=f"vm {subject.name}: launch of the driver"
        )
        try:
            artefacts = await self._prepare_artefacts(subject, operation, fresh_disk)
            _report(operation, "driver", "starting the driver")
            return await asyncio.shield(launching), artefacts
        except BaseException:
            await tasks.finish(_discard(launching))
            raise

    @steps.step
    async def _launch(self, subject: machine.Machine) -> machine.Driver:
        return await self._launcher.launch(subject)

    @steps.step
    async def _prepare_artefacts(
        self, subject: machine.Machine, operation: Up, fresh_disk: bool
    ) -> Artefacts:
        found = await self._preparer.prepare(subject, operation.report, fresh_disk=fresh_disk)
        subject.update(image=found.image)
        return found

    @steps.step
    async def _configure(
        self, subject: machine.Machine, driver: machine.Driver, artefacts: Artefacts
    ) -> None:
        where, record = subject.hub.paths, subject.record
        request = {
            "spec": vm.to_builtins(with_added_ports(record)),
            "home": str(where.home),
            "cache": str(paths.cache_directory()),
            "vm_dir": str(where.vm_dir(record.name)),
            "run_dir": str(where.run_dir(record.run_id)),
            "artefacts": artefacts.launch,
            "facts": artefacts.facts,
            # Lima runs provision scripts at every boot, and files written for it rely on that.
            "provision": True,
            "host_ports": forwards.earlier(record),
            "stop": {"agent_s": ending.AGENT_S, "acpi_s": ending.ACPI_S},
        }
        chosen = await driver.call("vm.configure", request, timeout_s=START_LIMIT_S)
        try:
            facts = msgspec.convert(chosen, records.Facts)
        except msgspec.ValidationError as exc:
            raise errors.InvalidReply(f"vm.configure: {exc}") from exc
        subject.update(facts=facts)


@steps.step
def _make_directories(subject: machine.Machine) -> None:
    where = subject.hub.paths
    for directory in (where.vm_dir(subject.name), where.run_dir(subject.record.run_id)):
        directory.mkdir(mode=0o700, exist_ok=True)


@steps.step
async def _start_hypervisor(
    subject: machine.Machine, operation: Up, driver: machine.Driver
) -> None:
    started = await driver.call("vm.start", {}, timeout_s=START_LIMIT_S)
    subject.hypervisor_pid = _integer(started.get("hypervisor_pid"))
    if isinstance(exec_at := started.get("exec_at"), float):
        spent = (exec_at - operation.asked_at) * 1000
        subject.timings["request_to_exec_ms"] = round(spent, 2)


@steps.step
async def _record_started(subject: machine.Machine, driver: machine.Driver) -> None:
    socket = subject.hub.paths.driver_socket(subject.record.run_id)
    payload = {"pid": driver.pid, "socketPath": str(socket)}
    subject.hub.events.emit("driver.started", subject.name, payload)
    if subject.state.observed is states.Observed.STARTING:
        subject.apply(states.Event.HYPERVISOR_STARTED, started_at=stamps.now())
    else:
        subject.update(started_at=stamps.now())


async def _discard(launching: asyncio.Task[machine.Driver]) -> None:
    """Make a driver leave that is not wanted any more, whether it is there already or not."""
    launching.cancel()
    try:
        driver = await launching
    except (asyncio.CancelledError, errors.GaoError):
        return
    await driver.leave(machine.LEAVE_S)


def with_added_ports(record: records.VmRecord) -> vm.VmSpec:
    """The spec with the ports that were added by hand."""
    network = record.spec.network
    wanted = (*network.forwards, *record.added_ports)
    return msgspec.structs.replace(
        record.spec, network=msgspec.structs.replace(network, forwards=wanted)
    )


@steps.step
async def _run_scripts(subject: machine.Machine) -> None:
    if subject.driver is None:
        raise errors.StateConflict(
            f"VM {subject.name} is not running", remedy="`gaovm up` starts it and runs its scripts"
        )
    subject.forget_failure()
    inside = subject.record.spec.guest
    wanted = {"provision": inside.provision, "probes": inside.probes}
    await subject.driver.call("guest.provision", msgspec.to_builtins(wanted))


@steps.step
async def _until_answered(subject: machine.Machine, operation: Up) -> None:
    try:
        async with asyncio.timeout(BOOT_LIMIT_S):
            await subject.until(lambda: _settled(subject, states.Readiness.AGENT))
    except TimeoutError as exc:
        raise errors.BootFailed(
            f"the agent of VM {subject.name} did not answer within {BOOT_LIMIT_S:.0f} s",
            remedy=f"see {subject.hub.paths.serial_log(subject.name)}",
        ) from exc
    _raise_if_ended(subject)
    await refresh(subject)
    if subject.state.readiness is not states.Readiness.READY:
        _report(operation, "agent", "the agent answers")


@steps.step
async def _until_ready(subject: machine.Machine) -> None:
    await subject.until(lambda: _settled(subject, states.Readiness.READY))
    _raise_if_ended(subject)
    if subject.state.readiness is states.Readiness.DEGRADED and not is_passing(subject):
        raise subject.last_failure() or errors.GuestUnavailable(
            f"VM {subject.name} runs but did not become ready"
        )
    await refresh(subject)


def is_passing(subject: machine.Machine) -> bool:
    """Whether what a VM lacks comes back by itself, and it can be worked with meanwhile."""
    failure = subject.record.last_error
    return failure is not None and failure.code == errors.NetworkLost.code


def _settled(subject: machine.Machine, wait: states.Readiness) -> bool:
    state = subject.state
    if state.observed not in (states.Observed.STARTING, states.Observed.RUNNING):
        return True
    return states.is_up(state, wait) or state.readiness is states.Readiness.DEGRADED


def _raise_if_ended(subject: machine.Machine) -> None:
    if subject.state.observed is states.Observed.RUNNING:
        return
    raise subject.last_failure() or errors.BootFailed(
        f"VM {subject.name} switched itself off before it was up",
        remedy=f"see {subject.hub.paths.serial_log(subject.name)}",
    )


async def refresh(subject: machine.Machine) -> None:
    """Take over boot times and ports as the driver has them now; not worth failing for."""
    driver = subject.driver
    if driver is None:
        return
    try:
        status = await driver.call("vm.status", {})
        subject.paused = status.get("paused") is True
        seen = {k: v for k, v in status.items() if k in records.Facts.__struct_fields__}
        merged = {**msgspec.structs.asdict(subject.record.facts), **seen}
        facts = msgspec.convert(merged, records.Facts)
    except (errors.GaoError, msgspec.ValidationError) as exc:
        logger.warning("vm %s: no status of the driver: %s", subject.name, exc)
        return
    subject.update(facts=facts)


async def _undo(subject: machine.Machine, operation: Up) -> None:
    async with subject.serial:
        if subject.hub.machines.get(subject.name) is subject:
            await ending.undo(subject, created=operation.created)


async def _settle(subject: machine.Machine, operation: Up, error: errors.GaoError) -> None:
    """After a failed ``up``: a VM that runs stays for inspection, anything else is taken down."""
    if operation.again and subject.driver is not None:
        return  # the VM runs as before, and says itself what became of its scripts
    degraded = subject.state.readiness is states.Readiness.DEGRADED
    if degraded:
        await subject.apply(states.Event.UP_FAILED, error)
        return
    if subject.driver is not None:
        await ending.shut_down(subject, ending.FORCED)
    if subject.state.observed in (states.Observed.STARTING, states.Observed.RUNNING):
        if operation.supervised or isinstance(error, errors.RuntimeFailure):
            subject.hub.supervisor.ended(subject, supervision.Ending.START_FAILED, error)
        else:
            await subject.apply(states.Event.START_FAILED, error)
    elif subject.state.observed is not states.Observed.BACKOFF:
        # Its end was told already; this is what whoever waited for the `up` is told.
        subject.fail(error)
    payload = {"error": error.message}
    subject.hub.events.emit("driver.start_failed", subject.name, payload)


def _report(operation: Up, phase: str, message: str) -> None:
    operation.report({"phase": phase, "message": message})


def _integer(value: object) -> int | None:
    return value if isinstance(value, int) else None
