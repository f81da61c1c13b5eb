"""``vm.*``: list, status, up, start, stop, restart, pause, resume, destroy."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from gaovm import errors
from gaovm.aio import steps
from gaovm.daemon import paths, timestamps
from gaovm.daemon.config import changes, planning, room
from gaovm.daemon.dispatch import context
from gaovm.daemon.lifecycle import start, stop, waiting
from gaovm.daemon.storage import records
from gaovm.daemon.vms import approval, directories, machine, project_file, status
from gaovm.hostfacts import usage
from gaovm.model import states
from gaovm.project import names
from gaovm.wire.agent import info
from gaovm.wire.control import bounds, target
from gaovm.wire.control import status as result
from gaovm.wire.control import vms as wire
from gaovm.wire.control.progress import Progress
from gaovm.wire.driver import table
from gaovm.wire.driver.params import NOTHING, Nothing
from gaovm.wire.driver.results import Paused
from gaovm.wire.method import Method

#: The agent's answer to a status question: a guest that hangs must not hang ``status``.
GUEST_INFO_S = 5.0
#: The mark of an ``up`` at which a caller that waits for this is answered.
_MARKS = {"none": "intent", "agent": "agent"}
#: A VM that is degraded by one of these runs its scripts at the next ``up``.
_SCRIPTS = ("provision", "probes")
_OF_SCRIPTS = (errors.ProvisionFailed.code, errors.ProbeFailed.code)


async def list_all(ctx: context.Daemon, call: context.Call, args: wire.List) -> result.VmList:
    """Every VM, by name; and with ``of_project`` the names of those of that directory."""
    here: tuple[str, ...] | None = None
    if args.of_project is not None:
        seen = await directories.look(ctx.fleet, args.of_project)
        here = tuple(vm.name for vm in directories.of(ctx.fleet, seen))
    machines = sorted(ctx.fleet.machines.values(), key=lambda vm: vm.name)
    return result.VmList(vms=tuple(map(status.vm_status, machines)), here=here)


async def show(ctx: context.Daemon, call: context.Call, args: wire.Status) -> result.VmReport:
    """One VM and what it takes; with ``guest`` also what the agent says, null without an answer."""
    vm = ctx.find(args.name)
    known = msgspec.structs.asdict(status.vm_status(vm))  # now, not after what takes its time
    taken = await _usage(vm)
    guest = await _guest_info(vm) if args.guest else msgspec.UNSET
    return result.VmReport(**known, usage=taken, guest=guest)


async def _usage(vm: machine.Machine) -> result.Usage:
    """What the VM takes of the host now."""
    memory = usage.of_tree(vm.driver.pid) if vm.driver is not None else None
    directory = vm.fleet.paths.vm_dir(vm.name)
    return result.Usage(
        memory_bytes=None if memory is None else memory.bytes,
        processes=0 if memory is None else memory.processes,
        # its directory may be on a slow disk
        disk_bytes=await asyncio.to_thread(usage.disk_bytes, directory),
    )


async def _guest_info(vm: machine.Machine) -> info.Info | None:
    readiness = vm.state.readiness
    if vm.driver is None or readiness in (None, states.Readiness.BOOTING):
        return None
    try:
        return await vm.driver.call(table.GUEST_INFO, NOTHING, timeout_s=GUEST_INFO_S)
    except errors.GaoError:
        return None


async def up(ctx: context.Daemon, call: context.Call, args: wire.Up) -> result.UpResult:
    """Create or start the VM of a project; join an ``up`` under way.

    Raises:
        errors.ApprovalNeeded: the file reaches further than a person approved; nothing was done.
    """
    while True:
        placed, seen = await _place(ctx, args)
        wanted = await ctx.load_config(placed, ctx.fleet.paths)
        name = wanted.spec.name
        vm = ctx.fleet.machines.get(name)
        fits = room.check(wanted.spec) if vm is None else []
        asked = await approval.examine(vm, args, wanted)
        if not await _check(ctx, placed, seen, name, asked):
            continue
        directory = await directories.settle(ctx.fleet, seen)
        if ctx.fleet.machines.get(name) is not vm:
            continue  # what was checked is of another VM by now
        approval.keep(ctx.fleet, name, asked, args.config_text)
        own = not (args.name or args.env_name)
        if vm is None:
            vm = _create(ctx, wanted, asked.approval, directory, own=own)
            directories.note(ctx.fleet, seen, vm, directory, own=own)
            ctx.starter.begin(vm, created=True, asked_at=wanted.asked_at)
            warnings = [*wanted.warnings, *fits, *_about_name(ctx, placed, name)]
            return await _wait(vm, call, args.wait, warnings)
        directories.note(ctx.fleet, seen, vm, directory, own=own)
        again = _runs_scripts_again(vm)
        warnings = await _take_over(vm, wanted, asked.approval, runs_again=again)
        return await _bring(ctx, vm, call, args.wait, warnings, wanted.asked_at)


async def _place(
    ctx: context.Daemon, args: wire.Up
) -> tuple[project_file.Placed, directories.Seen]:
    """What the directory of an ``up`` is, and how its VM is called when nobody says."""
    seen = await directories.look(ctx.fleet, args.project_dir)
    own = directories.default_of(ctx.fleet, seen)
    usual = own.name if own is not None else directories.free_name(ctx.fleet, seen.path)
    return project_file.Placed(**msgspec.structs.asdict(args), usual_name=usual), seen


async def _check(
    ctx: context.Daemon,
    args: project_file.Placed,
    seen: directories.Seen,
    name: str,
    asked: approval.Asked,
) -> bool:
    """Whether an ``up`` may go on with the VM of this name; False: look everything up again.

    Raises:
        errors.NameTaken: somebody asked for the name of another directory's VM.
        errors.ApprovalNeeded: the file reaches further than was approved.
    """
    vm = ctx.fleet.machines.get(name)
    if vm is not None:
        if await _gone_after_waiting(ctx, vm):
            return False
        if not directories.belongs(vm.record, seen):
            if name == args.usual_name and not (args.name or args.env_name):
                return False  # it was free a moment ago
            raise errors.NameTaken(
                f"the name {name!r} is taken by {vm.record.project or 'another VM'}",
                remedy="give this project's VM another name",
                actions=(
                    errors.Action(
                        "make_vm_as", new_name=directories.free_name(ctx.fleet, seen.path)
                    ),
                ),
            )
    await approval.check(vm, asked, args.approve)
    return True


def _about_name(ctx: context.Daemon, args: project_file.Placed, name: str) -> list[str]:
    """Said once, by the ``up`` that makes it: why a VM has a number in its name."""
    usual = names.of_directory(args.project_dir)
    other = ctx.fleet.machines.get(usual)
    if args.name or args.env_name or name == usual or other is None:
        return []
    return [f"{usual} is the VM of {other.record.project}; this directory's is called {name}"]


async def start_vm(ctx: context.Daemon, call: context.Call, args: wire.Start) -> result.UpResult:
    """Start a VM that exists, with the config of its last ``up``."""
    while True:
        vm = ctx.find(args.name)
        if not await _gone_after_waiting(ctx, vm):
            return await _bring(ctx, vm, call, args.wait, [], None)


async def stop_vm(ctx: context.Daemon, call: context.Call, args: wire.Stop) -> result.VmStatus:
    """Stop a VM; goes on when the caller goes away."""
    vm = ctx.find(args.name)
    intended = asyncio.Event()
    limits = stop.Limits(force=args.force, grace_s=args.timeout_s)
    work = stop.stop(vm, limits=limits, on_intent=intended.set)
    operation = ctx.lasting(f"vm {args.name}: stop", work)
    if args.wait == "none":
        await operation.unless_ended(intended.wait())
    else:
        await operation.wait(lambda _: None)
    return status.vm_status(vm)


async def restart(ctx: context.Daemon, call: context.Call, args: wire.Restart) -> result.UpResult:
    """Stop a VM and start it again; from the stop on that is what is wanted of it."""
    vm = ctx.find(args.name)
    limits = stop.Limits(force=args.force, grace_s=args.timeout_s)
    call.progress(Progress(phase="stop", message="stopping"))
    intended = asyncio.Event()
    work = _stop_and_begin(ctx, vm, limits, intended.set)
    operation = ctx.lasting(f"vm {args.name}: restart", work)
    if args.wait == "none":
        await operation.unless_ended(intended.wait())
        return _result(vm, created=False, already=False, warnings=[])
    if not await operation.wait(lambda _: None):
        raise errors.Cancelled(f"the restart of VM {args.name} was cancelled by a stop")
    begin = wire.Start(name=args.name, wait=args.wait)
    return await start_vm(ctx, call, begin)


async def _stop_and_begin(
    ctx: context.Daemon,
    vm: machine.Machine,
    limits: stop.Limits,
    on_intent: Callable[[], None],
) -> bool:
    """Whether an ``up`` follows: one begun here, or asked for meanwhile."""
    event = states.Event.RESTART_ASKED
    await stop.stop(vm, limits=limits, event=event, on_intent=on_intent)
    # At once, so that it does not depend on a caller who may have gone away meanwhile.
    wanted = vm.state.desired is states.Desired.RUNNING and vm.up is None
    wanted = wanted and not vm.endings  # a stop that came later waits for its turn
    if wanted and vm.state.observed in states.AT_REST and not ctx.stopping:
        ctx.starter.begin(vm, created=False).keep()
    return vm.up is not None


async def provision(
    ctx: context.Daemon, call: context.Call, args: wire.Provision
) -> result.UpResult:
    """Run the scripts and probes of a VM that runs once more; with ``project`` as its file is now.

    Raises:
        errors.StateConflict: the VM does not run, or is still being set up.
        errors.ApprovalNeeded: as ``up``.
    """
    vm = ctx.find(args.name)
    if vm.up is not None or vm.state.readiness in (None, states.Readiness.BOOTING):
        raise errors.StateConflict(
            f"VM {vm.name} is {vm.describe()[0]} and not ready for its scripts",
            remedy="an up runs them, and waits",
            actions=(errors.Action("start_vm", name=vm.name),),
        )
    warnings: list[str] = []
    if args.project is not None:
        asked_for = msgspec.structs.replace(args.project, name=vm.name)
        wanted = await ctx.load_config(asked_for, ctx.fleet.paths)
        asked = await approval.examine(vm, asked_for, wanted)
        await approval.check(vm, asked, args.project.approve)
        approval.keep(ctx.fleet, vm.name, asked, asked_for.config_text)
        warnings = await _take_over(vm, wanted, asked.approval, runs_again=True)
    if vm.up is None:
        ctx.starter.begin(vm, created=False, again=True)
    return await _wait(vm, call, args.wait, warnings)


async def pause(ctx: context.Daemon, call: context.Call, args: target.Named) -> result.VmStatus:
    """Make a guest's processors and clocks stand still. Idempotent."""
    return await _call_running(ctx.find(args.name), table.VM_PAUSE)


async def resume(ctx: context.Daemon, call: context.Call, args: target.Named) -> result.VmStatus:
    """Let a paused guest go on. Idempotent."""
    return await _call_running(ctx.find(args.name), table.VM_RESUME)


async def _call_running(vm: machine.Machine, row: Method[Nothing, Paused]) -> result.VmStatus:
    if vm.driver is None or vm.state.observed is not states.Observed.RUNNING:
        raise errors.StateConflict(
            f"VM {vm.name} is not running: it is {vm.describe()[0]}",
            actions=(errors.Action("start_vm", name=vm.name),),
        )
    await vm.driver.call(row, NOTHING)
    return status.vm_status(vm)


async def destroy(ctx: context.Daemon, call: context.Call, args: target.Named) -> result.Destroyed:
    """Stop a VM and remove everything of it; goes on when the caller goes away."""
    vm = ctx.find(args.name)
    freed = await ctx.to_its_end(f"vm {args.name}: destroy", stop.destroy(vm))
    return result.Destroyed(name=args.name, freed_bytes=freed)


async def _gone_after_waiting(ctx: context.Daemon, vm: machine.Machine) -> bool:
    """Wait for an ending or a removal under way; True when the look-up must be repeated."""
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


@steps.step
def _create(
    ctx: context.Daemon,
    wanted: project_file.Wanted,
    approved: records.Approval,
    directory: records.Directory | None,
    *,
    own: bool,
) -> machine.Machine:
    taken = {vm.record.run_id for vm in ctx.fleet.machines.values()}
    record = records.VmRecord(
        name=wanted.spec.name,
        project=wanted.project,
        config_path=wanted.config_path,
        spec=wanted.spec,
        base=wanted.spec,
        run_id=paths.new_run_id(taken),
        created_at=timestamps.now(),
        approved=approved,
        directory=directory,
        is_default=own,
    )
    vm = machine.Machine(ctx.fleet, record)
    ctx.fleet.machines[record.name] = vm
    return vm


async def _bring(
    ctx: context.Daemon,
    vm: machine.Machine,
    call: context.Call,
    wait: bounds.Wait,
    warnings: list[str],
    asked_at: float | None,
) -> result.UpResult:
    if vm.up is not None:
        return await _wait(vm, call, wait, warnings)
    readiness = states.Readiness.AGENT if wait == "none" else states.Readiness(wait)
    if vm.endings:  # it comes after them, however far the VM is now
        ctx.starter.begin(vm, created=False, asked_at=asked_at)
        return await _wait(vm, call, wait, warnings)
    if states.is_up(vm.state, readiness):
        if vm.paused:
            warnings.append("the VM is paused: it does nothing until it is resumed")
        return _result(vm, created=False, already=True, warnings=warnings)
    if vm.state.readiness is states.Readiness.DEGRADED:
        failure = vm.record.last_error
        if failure is not None and waiting.is_passing(vm):
            warnings.append(failure.message)
            return _result(vm, created=False, already=True, warnings=warnings)
        if not _runs_scripts_again(vm):
            raise _still_degraded(vm)
        ctx.starter.begin(vm, created=False, again=True, asked_at=asked_at)
        return await _wait(vm, call, wait, warnings)
    coming = vm.record.pending or vm.record.spec
    warnings += [each for each in room.check(coming) if each not in warnings]
    ctx.starter.begin(vm, created=False, asked_at=asked_at)
    return await _wait(vm, call, wait, warnings)


def _runs_scripts_again(vm: machine.Machine) -> bool:
    """Whether an ``up`` runs the scripts of a VM that runs, since one of them failed."""
    failure = vm.record.last_error
    of_scripts = failure is not None and failure.code in _OF_SCRIPTS
    return vm.state.readiness is states.Readiness.DEGRADED and of_scripts


async def _take_over(
    vm: machine.Machine,
    wanted: project_file.Wanted,
    approved: records.Approval,
    *,
    runs_again: bool,
) -> list[str]:
    """Bring the project file as it is now into force; what a user is told of that.

    ``runs_again``: its scripts run now, so they do not wait for a start.
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


async def _wait(
    vm: machine.Machine, call: context.Call, wait: bounds.Wait, warnings: list[str]
) -> result.UpResult:
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
    # What a client was told survives a crash that comes a moment later.
    await vm.fleet.store.flush()
    return _result(vm, created=created, already=False, warnings=warnings)


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
    """The next attempt after one that failed; its failure when there will be none."""

    def decided() -> bool:
        another = vm.up is not None and vm.up is not last
        return another or vm.state.observed is not states.Observed.BACKOFF

    await vm.until(decided)
    if vm.up is None or vm.up is last:
        raise failure
    return _operation(vm)


def _result(
    vm: machine.Machine, *, created: bool, already: bool, warnings: list[str]
) -> result.UpResult:
    return result.UpResult(
        vm=status.vm_status(vm),
        created=created,
        already=already,
        warnings=(*warnings, *status.warnings(vm.record)),
    )
