"""What ``up``, ``start``, ``restart`` and ``provision`` share: bring a VM up, and wait for it."""

from __future__ import annotations

from gaovm import errors
from gaovm.daemon.config import changes, planning, room
from gaovm.daemon.dispatch import context
from gaovm.daemon.lifecycle import start, waiting
from gaovm.daemon.storage import records
from gaovm.daemon.vms import machine, project_file, status
from gaovm.model import states
from gaovm.wire.control import bounds
from gaovm.wire.control import status as result
from gaovm.wire.control.progress import Progress

#: The mark of an ``up`` at which the daemon answers a caller with this ``wait``.
_MARKS = {"none": "intent", "agent": "agent"}
#: If an error of one of these degraded a VM, the next ``up`` runs its scripts again.
_SCRIPTS = ("provision", "probes", "copyToHost", "setUp.boot", "setUp.script", "setUp.probe")
_OF_SCRIPTS = (errors.ProvisionFailed.code, errors.ProbeFailed.code)


async def gone_after_waiting(ctx: context.Daemon, vm: machine.Machine) -> bool:
    """Wait for a stop or removal under way; True: the caller has to look the VM up again."""
    if vm.up is not None and vm.up.ending:
        await vm.up.ended()
        return True
    if vm.record.deleting:
        async with vm.serial:
            # A removal that failed leaves its machine: then this is the error to show.
            if ctx.fleet.knows(vm):
                raise errors.StateConflict(
                    f"VM {vm.name} is half removed",
                    actions=(errors.Action("destroy_vm", name=vm.name),),
                )
        return True
    return False


async def bring(
    ctx: context.Daemon,
    vm: machine.Machine,
    call: context.Call,
    wait: bounds.Wait,
    warnings: list[str],
    asked_at: float | None,
) -> result.UpResult:
    """Begin what the VM needs to be up, or join it, and wait as far as the caller wants.

    Raises:
        errors.GuestUnavailable, errors.GaoError: the VM runs, degraded for a lasting reason.
    """
    if vm.up is not None:
        return await wait_for(vm, call, wait, warnings)
    readiness = states.Readiness.AGENT if wait == "none" else states.Readiness(wait)
    if vm.endings:  # a stop waits: this `up` comes after it, whatever the state is now
        ctx.starter.begin(vm, created=False, asked_at=asked_at)
        return await wait_for(vm, call, wait, warnings)
    if states.is_up(vm.state, readiness):
        if vm.paused:
            warnings.append("the VM is paused: it does nothing until it is resumed")
        return result_of(vm, created=False, already=True, warnings=warnings)
    if vm.state.readiness is states.Readiness.DEGRADED:
        failure = vm.record.last_error
        if failure is not None and waiting.is_passing(vm):
            warnings.append(failure.message)
            return result_of(vm, created=False, already=True, warnings=warnings)
        if not runs_scripts_again(vm):
            raise _still_degraded(vm)
        ctx.starter.begin(vm, created=False, again=True, asked_at=asked_at)
        return await wait_for(vm, call, wait, warnings)
    coming = vm.record.pending or vm.record.spec
    warnings += [each for each in room.check(coming) if each not in warnings]
    ctx.starter.begin(vm, created=False, asked_at=asked_at)
    return await wait_for(vm, call, wait, warnings)


def runs_scripts_again(vm: machine.Machine) -> bool:
    """Whether an ``up`` runs the scripts of a running VM again, because one of them failed."""
    failure = vm.record.last_error
    of_scripts = failure is not None and failure.code in _OF_SCRIPTS
    return vm.state.readiness is states.Readiness.DEGRADED and of_scripts


async def take_over(
    vm: machine.Machine,
    wanted: project_file.Wanted,
    approved: records.Approval,
    *,
    runs_again: bool,
) -> list[str]:
    """Bring the present project file into force; return what to tell the user.

    ``runs_again``: the scripts run now, so they do not wait for a start.
    """
    layers = planning.Layers(base=wanted.spec, config_path=wanted.config_path, approved=approved)
    outcome = await changes.change(vm, lambda: layers)
    warnings = [*wanted.warnings, *outcome.warnings]
    now = _SCRIPTS if runs_again else ()
    waiting = [found.field for found in outcome.staged if found.field not in now]
    if waiting and outcome.running:
        fields = ", ".join(waiting)
        what = "the config has changed; this" if outcome.changed else "this waits and"
        warnings.append(f"{what} applies at the next start: {fields}")
    if outcome.running and outcome.applied:
        fields = ", ".join(found.field for found in outcome.applied)
        warnings.append(f"the config has changed; this was applied at once: {fields}")
    return warnings


def _still_degraded(vm: machine.Machine) -> errors.GaoError:
    failure = vm.record.last_error
    message = failure.message if failure else f"VM {vm.name} runs but is not ready"
    code = failure.code if failure else errors.GuestUnavailable.code
    error = errors.from_wire({"message": message, "data": {"code": code}})
    error.remedy = "look inside, or stop it and bring it up again"
    error.actions = (
        errors.Action("open_shell", name=vm.name),
        errors.Action("stop_vm", name=vm.name),
        errors.Action("start_vm", name=vm.name),
    )
    return error


async def wait_for(
    vm: machine.Machine, call: context.Call, wait: bounds.Wait, warnings: list[str]
) -> result.UpResult:
    """Wait for the ``up`` under way, through the restarts of a VM that dies meanwhile.

    Raises:
        errors.GaoError: the ``up`` failed, and the daemon does not start the VM again.
    """
    operation = _operation(vm)
    created = operation.created
    while True:
        try:
            await operation.wait(call.progress, until=None if wait == "ready" else _MARKS[wait])
            break
        except errors.GaoError as exc:
            if not _is_tried_again(vm, operation, exc):
                raise
            # It is started again: what the caller waits for may still come true.
            call.progress(Progress(phase="restart", message=vm.describe()[1]))
            operation = await _next(vm, operation, exc)
    # A crash a moment later must not undo what a client was told.
    await vm.fleet.store.flush()
    return result_of(vm, created=created, already=False, warnings=warnings)


def _is_tried_again(vm: machine.Machine, last: start.Up, failure: errors.GaoError) -> bool:
    """Whether the daemon starts the VM again after a start that failed, or does so already."""
    if vm.state.observed is states.Observed.BACKOFF:
        return True
    up = vm.up
    begun = isinstance(up, start.Up) and up is not last and up.supervised
    return begun and not isinstance(failure, errors.Cancelled)


def _operation(vm: machine.Machine) -> start.Up:
    if not isinstance(vm.up, start.Up):
        raise errors.InternalError(f"vm {vm.name}: no `up` to wait for")
    return vm.up


async def _next(vm: machine.Machine, last: start.Up, failure: errors.GaoError) -> start.Up:
    """Wait for the next attempt after one that failed; raise its failure if there is none."""

    def decided() -> bool:
        another = vm.up is not None and vm.up is not last
        return another or vm.state.observed is not states.Observed.BACKOFF

    await vm.until(decided)
    if vm.up is None or vm.up is last:
        raise failure
    return _operation(vm)


def result_of(
    vm: machine.Machine, *, created: bool, already: bool, warnings: list[str]
) -> result.UpResult:
    """Return the answer about a VM that is up, or starting."""
    return result.UpResult(
        vm=status.vm_status(vm),
        created=created,
        already=already,
        warnings=(*warnings, *status.warnings(vm.record)),
    )
