"""``vm.*``: list, status, up, start, stop, restart, pause, resume, destroy."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from gaovm import errors
from gaovm.aio import steps
from gaovm.daemon import (
    approval,
    configs,
    context,
    directories,
    ending,
    machine,
    params,
    paths,
    stamps,
    starting,
    status,
)
from gaovm.daemon.config import foresight, room, staging
from gaovm.daemon.storage import records
from gaovm.hostfacts import usage
from gaovm.model import states
from gaovm.project import names

#: The agent's answer to a status question: a guest that hangs must not hang ``status``.
GUEST_INFO_S = 5.0
#: The mark of an ``up`` at which a caller that waits for this is answered.
_MARKS = {"none": "intent", "agent": "agent"}
#: A VM that is degraded by one of these runs its scripts at the next ``up``.
_SCRIPTS = ("provision", "probes")
_OF_SCRIPTS = (errors.ProvisionFailed.code, errors.ProbeFailed.code)


async def list_all(ctx: context.Context, call: context.Call, args: params.List) -> Any:
    """Every VM, by name; and with ``of_project`` the names of those of that directory."""
    here: dict[str, Any] = {}
    if args.of_project is not None:
        seen = await directories.look(ctx.hub, args.of_project)
        here["here"] = [subject.name for subject in directories.of(ctx.hub, seen)]
    machines = sorted(ctx.hub.machines.values(), key=lambda subject: subject.name)
    return {"vms": [status.vm_status(subject) for subject in machines], **here}


async def show(ctx: context.Context, call: context.Call, args: params.Status) -> Any:
    """One VM and what it takes; with ``guest`` also what the agent says, null without an answer."""
    subject = ctx.find(args.name)
    result = status.vm_status(subject)
    result["usage"] = await _usage(subject)
    if args.guest:
        result["guest"] = await _guest_info(subject)
    return result


async def _usage(subject: machine.Machine) -> dict[str, Any]:
    """What the VM takes of the host now."""
    memory = usage.of_tree(subject.driver.pid) if subject.driver is not None else None
    directory = subject.hub.paths.vm_dir(subject.name)
    return {
        "memory_bytes": None if memory is None else memory.bytes,
        "processes": 0 if memory is None else memory.processes,
        # its directory may be on a slow disk
        "disk_bytes": await asyncio.to_thread(usage.disk_bytes, directory),
    }


async def _guest_info(subject: machine.Machine) -> dict[str, Any] | None:
    readiness = subject.state.readiness
    if subject.driver is None or readiness in (None, states.Readiness.BOOTING):
        return None
    try:
        return await subject.driver.call("guest.info", {}, timeout_s=GUEST_INFO_S)
    except errors.GaoError:
        return None


async def up(ctx: context.Context, call: context.Call, args: params.Up) -> Any:
    """Create or start the VM of a project; join an ``up`` under way.

    Raises:
        errors.ApprovalNeeded: the file reaches further than a person approved; nothing was done.
    """
    while True:
        placed, seen = await _place(ctx, args)
        wanted = await ctx.load_config(placed, ctx.hub.paths)
        name = wanted.spec.name
        subject = ctx.hub.machines.get(name)
        fits = room.check(wanted.spec) if subject is None else []
        asked = await approval.examine(subject, args, wanted)
        if not await _check(ctx, placed, seen, name, asked):
            continue
        directory = await directories.settle(ctx.hub, seen)
        if ctx.hub.machines.get(name) is not subject:
            continue  # what was checked is of another VM by now
        approval.keep(ctx.hub, name, asked, args.config_text)
        own = not (args.name or args.env_name)
        if subject is None:
            subject = _create(ctx, wanted, asked.approval, directory, own=own)
            directories.note(ctx.hub, seen, subject, directory, own=own)
            ctx.starter.begin(subject, created=True, asked_at=wanted.asked_at)
            warnings = [*wanted.warnings, *fits, *_about_name(ctx, placed, name)]
            return await _wait(subject, call, args.wait, warnings)
        directories.note(ctx.hub, seen, subject, directory, own=own)
        again = _runs_scripts_again(subject)
        warnings = await _take_over(subject, wanted, asked.approval, runs_again=again)
        return await _bring(ctx, subject, call, args.wait, warnings, wanted.asked_at)


async def _place(ctx: context.Context, args: params.Up) -> tuple[params.Placed, directories.Seen]:
    """What the directory of an ``up`` is, and how its VM is called when nobody says."""
    seen = await directories.look(ctx.hub, args.project_dir)
    own = directories.default_of(ctx.hub, seen)
    usual = own.name if own is not None else directories.free_name(ctx.hub, seen.path)
    return params.Placed(**msgspec.structs.asdict(args), usual_name=usual), seen


async def _check(
    ctx: context.Context,
    args: params.Placed,
    seen: directories.Seen,
    name: str,
    asked: approval.Asked,
) -> bool:
    """Whether an ``up`` may go on with the VM of this name; False: look everything up again.

    Raises:
        errors.NameTaken: somebody asked for the name of another directory's VM.
        errors.ApprovalNeeded: the file reaches further than was approved.
    """
    subject = ctx.hub.machines.get(name)
    if subject is not None:
        if await _gone_after_waiting(ctx, subject):
            return False
        if not directories.belongs(subject.record, seen):
            if name == args.usual_name and not (args.name or args.env_name):
                return False  # it was free a moment ago
            raise errors.NameTaken(
                f"the name {name!r} is taken by {subject.record.project or 'another VM'}",
                remedy="use --name to give this project's VM another name",
            )
    await approval.check(subject, asked, args.approve)
    return True


def _about_name(ctx: context.Context, args: params.Placed, name: str) -> list[str]:
    """Said once, by the ``up`` that makes it: why a VM has a number in its name."""
    usual = names.of_directory(args.project_dir)
    other = ctx.hub.machines.get(usual)
    if args.name or args.env_name or name == usual or other is None:
        return []
    return [f"{usual} is the VM of {other.record.project}; this directory's is called {name}"]


async def start(ctx: context.Context, call: context.Call, args: params.Start) -> Any:
    """Start a VM that exists, with the config of its last ``up``."""
    while True:
        subject = ctx.find(args.name)
        if not await _gone_after_waiting(ctx, subject):
            return await _bring(ctx, subject, call, args.wait, [], None)


async def stop(ctx: context.Context, call: context.Call, args: params.Stop) -> Any:
    """Stop a VM; goes on when the caller goes away."""
    subject = ctx.find(args.name)
    intended = asyncio.Event()
    limits = ending.Limits(force=args.force, grace_s=args.timeout_s)
    work = ending.stop(subject, limits=limits, on_intent=intended.set)
    operation = ctx.lasting(f"vm {args.name}: stop", work)
    if args.wait == "none":
        await operation.unless_ended(intended.wait())
    else:
        await operation.wait(lambda _: None)
    return status.vm_status(subject)


async def restart(ctx: context.Context, call: context.Call, args: params.Restart) -> Any:
    """Stop a VM and start it again; from the stop on that is what is wanted of it."""
    subject = ctx.find(args.name)
    limits = ending.Limits(force=args.force, grace_s=args.timeout_s)
    call.progress({"phase": "stop", "message": "stopping"})
    intended = asyncio.Event()
    work = _stop_and_begin(ctx, subject, limits, intended.set)
    operation = ctx.lasting(f"vm {args.name}: restart", work)
    if args.wait == "none":
        await operation.unless_ended(intended.wait())
        return _result(subject, created=False, already=False, warnings=[])
    if not await operation.wait(lambda _: None):
        raise errors.Cancelled(f"the restart of VM {args.name} was cancelled by a stop")
    begin = params.Start(name=args.name, wait=args.wait)
    return await start(ctx, call, begin)


async def _stop_and_begin(
    ctx: context.Context,
    subject: machine.Machine,
    limits: ending.Limits,
    on_intent: Callable[[], None],
) -> bool:
    """Whether an ``up`` follows: one begun here, or asked for meanwhile."""
    event = states.Event.RESTART_ASKED
    await ending.stop(subject, limits=limits, event=event, on_intent=on_intent)
    # At once, so that it does not depend on a caller who may have gone away meanwhile.
    wanted = subject.state.desired is states.Desired.RUNNING and subject.up is None
    wanted = wanted and not subject.endings  # a stop that came later waits for its turn
    if wanted and subject.state.observed in states.AT_REST and not ctx.stopping:
        ctx.starter.begin(subject, created=False).keep()
    return subject.up is not None


async def provision(ctx: context.Context, call: context.Call, args: params.Provision) -> Any:
    """Run the scripts and probes of a VM that runs once more; with ``project`` as its file is now.

    Raises:
        errors.StateConflict: the VM does not run, or is still being set up.
        errors.ApprovalNeeded: as ``up``.
    """
    subject = ctx.find(args.name)
    if subject.up is not None or subject.state.readiness in (None, states.Readiness.BOOTING):
        raise errors.StateConflict(
            f"VM {subject.name} is {subject.describe()[0]} and not ready for its scripts",
            remedy="`gaovm up` runs them, and waits",
        )
    warnings: list[str] = []
    if args.project is not None:
        asked_for = msgspec.structs.replace(args.project, name=subject.name)
        wanted = await ctx.load_config(asked_for, ctx.hub.paths)
        asked = await approval.examine(subject, asked_for, wanted)
        await approval.check(subject, asked, args.project.approve)
        approval.keep(ctx.hub, subject.name, asked, asked_for.config_text)
        warnings = await _take_over(subject, wanted, asked.approval, runs_again=True)
    if subject.up is None:
        ctx.starter.begin(subject, created=False, again=True)
    return await _wait(subject, call, args.wait, warnings)


async def pause(ctx: context.Context, call: context.Call, args: params.Named) -> Any:
    """Make a guest's processors and clocks stand still. Idempotent."""
    return await _call_running(ctx.find(args.name), "vm.pause")


async def resume(ctx: context.Context, call: context.Call, args: params.Named) -> Any:
    """Let a paused guest go on. Idempotent."""
    return await _call_running(ctx.find(args.name), "vm.resume")


async def _call_running(subject: machine.Machine, method: str) -> dict[str, Any]:
    if subject.driver is None or subject.state.observed is not states.Observed.RUNNING:
        raise errors.StateConflict(
            f"VM {subject.name} is not running: it is {subject.describe()[0]}",
            remedy="`gaovm up` or `gaovm start` starts it",
        )
    await subject.driver.call(method)
    return status.vm_status(subject)


async def destroy(ctx: context.Context, call: context.Call, args: params.Named) -> Any:
    """Stop a VM and remove everything of it; goes on when the caller goes away."""
    subject = ctx.find(args.name)
    freed = await ctx.to_its_end(f"vm {args.name}: destroy", ending.destroy(subject))
    return {"name": args.name, "freed_bytes": freed}


async def _gone_after_waiting(ctx: context.Context, subject: machine.Machine) -> bool:
    """Wait for an ending or a removal under way; True when the look-up must be repeated."""
    if subject.up is not None and subject.up.ending:
        await subject.up.ended()
        return True
    if subject.record.deleting:
        async with subject.serial:
            # A removal that failed leaves its machine: then this is the error to show.
            if ctx.hub.machines.get(subject.name) is subject:
                raise errors.StateConflict(
                    f"VM {subject.name} is half removed", remedy="run `gaovm destroy` again"
                )
        return True
    return False


@steps.step
def _create(
    ctx: context.Context,
    wanted: configs.Wanted,
    approved: records.Approval,
    directory: records.Directory | None,
    *,
    own: bool,
) -> machine.Machine:
    taken = {subject.record.run_id for subject in ctx.hub.machines.values()}
    record = records.VmRecord(
        name=wanted.spec.name,
        project=wanted.project,
        config_path=wanted.config_path,
        spec=wanted.spec,
        base=wanted.spec,
        run_id=paths.new_run_id(taken),
        created_at=stamps.now(),
        approved=approved,
        directory=directory,
        is_default=own,
    )
    subject = machine.Machine(ctx.hub, record)
    ctx.hub.machines[record.name] = subject
    return subject


async def _bring(
    ctx: context.Context,
    subject: machine.Machine,
    call: context.Call,
    wait: params.Wait,
    warnings: list[str],
    asked_at: float | None,
) -> Any:
    if subject.up is not None:
        return await _wait(subject, call, wait, warnings)
    readiness = states.Readiness.AGENT if wait == "none" else states.Readiness(wait)
    if subject.endings:  # it comes after them, however far the VM is now
        ctx.starter.begin(subject, created=False, asked_at=asked_at)
        return await _wait(subject, call, wait, warnings)
    if states.is_up(subject.state, readiness):
        if subject.paused:
            warnings.append("the VM is paused; `gaovm resume` lets it go on")
        return _result(subject, created=False, already=True, warnings=warnings)
    if subject.state.readiness is states.Readiness.DEGRADED:
        failure = subject.record.last_error
        if failure is not None and starting.is_passing(subject):
            warnings.append(failure.message)
            return _result(subject, created=False, already=True, warnings=warnings)
        if not _runs_scripts_again(subject):
            raise _still_degraded(subject)
        ctx.starter.begin(subject, created=False, again=True, asked_at=asked_at)
        return await _wait(subject, call, wait, warnings)
    coming = subject.record.pending or subject.record.spec
    warnings += [each for each in room.check(coming) if each not in warnings]
    ctx.starter.begin(subject, created=False, asked_at=asked_at)
    return await _wait(subject, call, wait, warnings)


def _runs_scripts_again(subject: machine.Machine) -> bool:
    """Whether an ``up`` runs the scripts of a VM that runs, since one of them failed."""
    failure = subject.record.last_error
    of_scripts = failure is not None and failure.code in _OF_SCRIPTS
    return subject.state.readiness is states.Readiness.DEGRADED and of_scripts


async def _take_over(
    subject: machine.Machine,
    wanted: configs.Wanted,
    approved: records.Approval,
    *,
    runs_again: bool,
) -> list[str]:
    """Bring the project file as it is now into force; what a user is told of that.

    ``runs_again``: its scripts run now, so they do not wait for a start.
    """
    layers = foresight.Layers(base=wanted.spec, config_path=wanted.config_path, approved=approved)
    outcome = await staging.change(subject, lambda: layers)
    warnings = [*wanted.warnings, *outcome.warnings]
    now = _SCRIPTS if runs_again else ()
    waiting = [found.field for found in outcome.staged if found.field not in now]
    if waiting and outcome.running:
        fields = ", ".join(waiting)
        what = "the config has changed; this" if outcome.changed else "this waits and"
        warnings.append(f"{what} applies at the next start: {fields} (`gaovm diff`)")
    if outcome.running and outcome.applied:
        fields = ", ".join(found.field for found in outcome.applied)
        warnings.append(f"the config has changed; this was applied at once: {fields}")
    return warnings


def _still_degraded(subject: machine.Machine) -> errors.GaoError:
    failure = subject.record.last_error
    message = failure.message if failure else f"VM {subject.name} runs but is not ready"
    remedy = "`gaovm stop`, then `gaovm up` to try again; `gaovm shell` to look inside"
    code = failure.code if failure else errors.GuestUnavailable.code
    error = errors.from_wire({"message": message, "data": {"code": code}})
    error.remedy = remedy
    return error


async def _wait(
    subject: machine.Machine, call: context.Call, wait: params.Wait, warnings: list[str]
) -> Any:
    operation = _operation(subject)
    created = operation.created
    while True:
        try:
            await operation.wait(call.progress, until=None if wait == "ready" else _MARKS[wait])
            break
        except errors.GaoError as exc:
            if not _is_tried_again(subject, operation, exc):
                raise
            # It is started again: what the caller waits for may still come true.
            call.progress({"phase": "restart", "message": subject.describe()[1]})
            operation = await _next(subject, operation, exc)
    # What a client was told survives a crash that comes a moment later.
    await subject.hub.store.flush()
    return _result(subject, created=created, already=False, warnings=warnings)


def _is_tried_again(subject: machine.Machine, last: starting.Up, failure: errors.GaoError) -> bool:
    """Whether the daemon starts the VM again after a start that failed, or does so already."""
    if subject.state.observed is states.Observed.BACKOFF:
        return True
    up = subject.up
    begun = isinstance(up, starting.Up) and up is not last and up.supervised
    return begun and not isinstance(failure, errors.Cancelled)


def _operation(subject: machine.Machine) -> starting.Up:
    if not isinstance(subject.up, starting.Up):
        raise errors.InternalError(f"vm {subject.name}: no `up` to wait for")
    return subject.up


async def _next(
    subject: machine.Machine, last: starting.Up, failure: errors.GaoError
) -> starting.Up:
    """The next attempt after one that failed; its failure when there will be none."""

    def decided() -> bool:
        another = subject.up is not None and subject.up is not last
        return another or subject.state.observed is not states.Observed.BACKOFF

    await subject.until(decided)
    if subject.up is None or subject.up is last:
        raise failure
    return _operation(subject)


def _result(
    subject: machine.Machine, *, created: bool, already: bool, warnings: list[str]
) -> dict[str, Any]:
    return {
        "vm": status.vm_status(subject),
        "created": created,
        "already": already,
        "warnings": [*warnings, *status.warnings(subject.record)],
    }
