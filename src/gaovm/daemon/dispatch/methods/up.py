"""``vm.up``: create or start the VM of a project's directory."""

from __future__ import annotations

import msgspec

from gaovm import errors
from gaovm.aio import steps
from gaovm.daemon import paths, timestamps
from gaovm.daemon.config import room
from gaovm.daemon.dispatch import bring_up, context
from gaovm.daemon.storage import records
from gaovm.daemon.vms import additional_disks, approval, directories, machine, project_file
from gaovm.project import names
from gaovm.wire.control import status as result
from gaovm.wire.control import vms as wire


async def up(ctx: context.Daemon, call: context.Call, args: wire.Up) -> result.UpResult:
    """Create or start the VM of a project; join an ``up`` under way.

    Raises:
        errors.DiskMissing: the file names a disk that does not exist; nothing was done.
        errors.ApprovalNeeded: the file reaches further than a person approved; nothing was done.
    """
    while True:
        placed, seen = await _place(ctx, args)
        wanted = await ctx.load_config(placed, ctx.fleet.paths)
        name = wanted.spec.name
        vm = ctx.fleet.machines.get(name)
        fits = room.check(wanted.spec) if vm is None else []
        additional_disks.check(ctx.fleet.disks, wanted.spec)
        asked = await approval.examine(vm, args, wanted)
        if not await _check(ctx, placed, seen, name, asked):
            continue
        directory = await directories.settle(ctx.fleet, seen)
        if ctx.fleet.machines.get(name) is not vm:
            continue  # another VM has this name by now, and we checked the old one
        approval.keep(ctx.fleet, name, asked, args.config_text)
        own = not (args.name or args.env_name)
        if vm is None:
            vm = _create(ctx, wanted, asked.approval, directory, own=own)
            directories.note(ctx.fleet, seen, vm, directory, own=own)
            ctx.starter.begin(vm, created=True, asked_at=wanted.asked_at)
            warnings = [*wanted.warnings, *fits, *_about_name(ctx, placed, name)]
            return await bring_up.wait_for(vm, call, args.wait, warnings)
        directories.note(ctx.fleet, seen, vm, directory, own=own)
        again = bring_up.runs_scripts_again(vm)
        warnings = await bring_up.take_over(vm, wanted, asked.approval, runs_again=again)
        return await bring_up.bring(ctx, vm, call, args.wait, warnings, wanted.asked_at)


async def _place(
    ctx: context.Daemon, args: wire.Up
) -> tuple[project_file.Placed, directories.Seen]:
    """Look up an ``up``'s directory, and the name for its VM if the caller gives none."""
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
        if await bring_up.gone_after_waiting(ctx, vm):
            return False
        if not directories.belongs(vm.record, seen):
            if name == args.usual_name and not (args.name or args.env_name):
                return False  # another call took the name meanwhile
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
    """Return a warning that says why a new VM's name has a number."""
    usual = names.of_directory(args.project_dir)
    other = ctx.fleet.machines.get(usual)
    if args.name or args.env_name or name == usual or other is None:
        return []
    return [f"{usual} is the VM of {other.record.project}; this directory's is called {name}"]


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
