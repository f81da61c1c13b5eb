"""``vm.up`` and ``vm.create``: make the VM of a directory; ``vm.up`` also starts it."""

from __future__ import annotations

import msgspec

from gaovm import errors
from gaovm.aio import steps, tasks
from gaovm.daemon import paths, timestamps
from gaovm.daemon.config import changes, room
from gaovm.daemon.dispatch import bring_up, context
from gaovm.daemon.storage import records
from gaovm.daemon.vms import (
    additional_disks,
    approval,
    directories,
    machine,
    project_file,
    status,
)
from gaovm.project import names
from gaovm.wire.control import payloads
from gaovm.wire.control import status as result
from gaovm.wire.control import vms as wire


class _Agreed(msgspec.Struct, frozen=True, kw_only=True):
    """A directory's VM, and the file that its caller may have. ``created``: the VM is new."""

    vm: machine.Machine
    created: bool
    wanted: project_file.Wanted
    approved: records.Approval
    warnings: tuple[str, ...] = ()


async def up(ctx: context.Daemon, call: context.Call, args: wire.Up) -> result.UpResult:
    """Create or start the VM of a project; join an ``up`` under way.

    Raises:
        errors.DiskMissing: the file names a disk that does not exist; nothing was done.
        errors.ApprovalNeeded: the file reaches further than a person approved; nothing was done.
    """
    agreed = await _agree(ctx, args)
    vm, wanted = agreed.vm, agreed.wanted
    if agreed.created:  # nothing was awaited since: this ``up`` is the VM's first operation
        ctx.starter.begin(vm, created=True, asked_at=wanted.asked_at)
        return await bring_up.wait_for(vm, call, args.wait, list(agreed.warnings))
    again = bring_up.runs_scripts_again(vm)
    warnings = await bring_up.take_over(vm, wanted, agreed.approved, runs_again=again)
    return await bring_up.bring(ctx, vm, call, args.wait, warnings, wanted.asked_at)


async def create(ctx: context.Daemon, call: context.Call, args: wire.Create) -> result.Created:
    """Make the VM of a directory, or let it take its file over; start nothing.

    Raises:
        errors.NameTaken: there is a VM of that name, and the caller wants a new one.
        errors.ApprovalNeeded: as ``up``.
    """
    agreed = await _agree(ctx, args, must_be_new=not args.update)
    vm, warnings = agreed.vm, agreed.warnings
    if agreed.created:
        # In one transaction with the record: the event reports what is on disk.
        ctx.fleet.events.tell(vm.name, payloads.VmCreated(project=vm.record.project))
        vm.update()
    else:
        found = await bring_up.take_over(vm, agreed.wanted, agreed.approved, runs_again=False)
        warnings = tuple(found)
    await ctx.fleet.store.flush()
    if agreed.created:
        # the database has it; each start of the daemon makes up for files that are missing
        await tasks.guard(f"vm {vm.name}: config files", changes.check(vm))
    return result.Created(vm=status.vm_status(vm), warnings=warnings)


async def _agree(
    ctx: context.Daemon, args: wire.ProjectFile, *, must_be_new: bool = False
) -> _Agreed:
    """Read a directory's file, check that its caller may have it, and find or make its VM."""
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
        if vm is not None and must_be_new:
            raise errors.NameTaken(f"there is a VM {name!r} already")
        directory = await directories.settle(ctx.fleet, seen)
        if ctx.fleet.machines.get(name) is not vm:
            continue  # another VM has this name by now, and we checked the old one
        approval.keep(ctx.fleet, name, asked, args.config_text)
        own = not (args.name or args.env_name)
        created = vm is None
        warnings: tuple[str, ...] = ()
        if vm is None:
            vm = _create(ctx, wanted, asked.approval, directory, own=own)
            warnings = (*wanted.warnings, *fits, *_about_name(ctx, placed, name))
        directories.note(ctx.fleet, seen, vm, directory, own=own)
        return _Agreed(
            vm=vm, created=created, wanted=wanted, approved=asked.approval, warnings=warnings
        )


async def _place(
    ctx: context.Daemon, args: wire.ProjectFile
) -> tuple[project_file.Placed, directories.Seen]:
    """Look up an ``up``'s directory, and the name for its VM if the caller gives none."""
    seen = await directories.look(ctx.fleet, args.project_dir)
    own = directories.default_of(ctx.fleet, seen)
    usual = own.name if own is not None else directories.free_name(ctx.fleet, seen.path)
    given = {field: getattr(args, field) for field in wire.ProjectFile.__struct_fields__}
    return project_file.Placed(**given, usual_name=usual), seen


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
