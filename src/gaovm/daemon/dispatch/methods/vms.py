"""``vm.*``: list, status, start, stop, restart, provision, pause, resume, protect, destroy."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from gaovm import errors
from gaovm.daemon.dispatch import bring_up, context
from gaovm.daemon.lifecycle import stop
from gaovm.daemon.vms import approval, directories, machine, status
from gaovm.hostfacts import usage
from gaovm.model import states
from gaovm.wire.agent import info
from gaovm.wire.control import status as result
from gaovm.wire.control import target
from gaovm.wire.control import vms as wire
from gaovm.wire.control.progress import Progress
from gaovm.wire.driver import table
from gaovm.wire.driver.params import NOTHING, Nothing
from gaovm.wire.driver.results import Paused
from gaovm.wire.method import Method

#: The agent's answer to a status question: a guest that hangs must not hang ``status``.
GUEST_INFO_S = 5.0


async def list_all(ctx: context.Daemon, call: context.Call, args: wire.List) -> result.VmList:
    """List every VM by name; with ``of_project`` also name those of that directory."""
    here: tuple[str, ...] | None = None
    if args.of_project is not None:
        seen = await directories.look(ctx.fleet, args.of_project)
        here = tuple(vm.name for vm in directories.of(ctx.fleet, seen))
    machines = sorted(ctx.fleet.machines.values(), key=lambda vm: vm.name)
    return result.VmList(vms=tuple(map(status.vm_status, machines)), here=here)


async def show(ctx: context.Daemon, call: context.Call, args: wire.Status) -> result.VmReport:
    """Show one VM and what it takes; with ``guest`` also ask its agent."""
    vm = ctx.find(args.name)
    known = msgspec.structs.asdict(status.vm_status(vm))  # first, as the rest takes time
    taken = await _usage(vm)
    guest = await _guest_info(vm) if args.guest else msgspec.UNSET
    return result.VmReport(**known, usage=taken, guest=guest)


async def _usage(vm: machine.Machine) -> result.Usage:
    """Measure what the VM takes of the host now."""
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


async def start_vm(ctx: context.Daemon, call: context.Call, args: wire.Start) -> result.UpResult:
    """Start a VM that exists, with the config of its last ``up``."""
    while True:
        vm = ctx.find(args.name)
        if not await bring_up.gone_after_waiting(ctx, vm):
            return await bring_up.bring(ctx, vm, call, args.wait, [], None)


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
    """Stop a VM and start it again; the daemon does both, even if the caller leaves."""
    vm = ctx.find(args.name)
    limits = stop.Limits(force=args.force, grace_s=args.timeout_s)
    call.progress(Progress(phase="stop", message="stopping"))
    intended = asyncio.Event()
    work = _stop_and_begin(ctx, vm, limits, intended.set)
    operation = ctx.lasting(f"vm {args.name}: restart", work)
    if args.wait == "none":
        await operation.unless_ended(intended.wait())
        return bring_up.result_of(vm, created=False, already=False, warnings=[])
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
    """Stop, then begin an ``up``; return False if none follows, as somebody else stopped the VM."""
    event = states.Event.RESTART_ASKED
    await stop.stop(vm, limits=limits, event=event, on_intent=on_intent)
    # At once, because the caller may have gone away meanwhile.
    wanted = vm.state.desired is states.Desired.RUNNING and vm.up is None
    wanted = wanted and not vm.endings  # a stop that came later waits for its turn
    if wanted and vm.state.observed in states.AT_REST and not ctx.stopping:
        ctx.starter.begin(vm, created=False).keep()
    return vm.up is not None


async def provision(
    ctx: context.Daemon, call: context.Call, args: wire.Provision
) -> result.UpResult:
    """Run a running VM's scripts and probes again; with ``project``, read its file again first.

    Raises:
        errors.StateConflict: the VM does not run, or is still being set up.
        errors.ApprovalNeeded: see ``up``.
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
        warnings = await bring_up.take_over(vm, wanted, asked.approval, runs_again=True)
    if vm.up is None:
        ctx.starter.begin(vm, created=False, again=True)
    return await bring_up.wait_for(vm, call, args.wait, warnings)


async def pause(ctx: context.Daemon, call: context.Call, args: target.Named) -> result.VmStatus:
    """Halt a guest's processors and clocks. Idempotent."""
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


async def protect(ctx: context.Daemon, call: context.Call, args: wire.Protect) -> result.VmStatus:
    """Protect a VM from removal, or no longer. Idempotent."""
    vm = ctx.find(args.name)
    if vm.record.protected != args.protected:
        await vm.update(protected=args.protected)
    return status.vm_status(vm)


async def destroy(ctx: context.Daemon, call: context.Call, args: target.Named) -> result.Destroyed:
    """Stop a VM and remove everything of it; goes on when the caller goes away.

    Raises:
        errors.StateConflict: it is protected.
    """
    vm = ctx.find(args.name)
    if vm.record.protected:
        raise errors.StateConflict(
            f"VM {vm.name} is protected from removal",
            actions=(errors.Action("unprotect_vm", name=vm.name),),
        )
    freed = await ctx.to_its_end(f"vm {args.name}: destroy", stop.destroy(vm))
    return result.Destroyed(name=args.name, freed_bytes=freed)
