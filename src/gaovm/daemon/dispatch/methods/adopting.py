"""``vm.adopt``: give a VM to another directory, because a person says so."""

from __future__ import annotations

from gaovm import errors
from gaovm.daemon.dispatch import context
from gaovm.daemon.vms import directories, lookups, status
from gaovm.wire.control import status as wire_status
from gaovm.wire.control import vms as wire


async def adopt(
    ctx: context.Daemon, call: context.Call, args: wire.Adopt
) -> wire_status.VmStatus | wire_status.Lost:
    """Give a VM to a directory; without a name, only list the VMs whose directory is gone.

    The next ``up`` in that directory reads its file for the VM.

    Raises:
        errors.VmNotFound: there is no VM of that name.
        errors.NameTaken: the VM's directory still exists, and the call lacks ``force``.
    """
    if args.name is None:
        lost = await directories.lost(ctx.fleet)
        return wire_status.Lost(lost=tuple(map(status.vm_status, lost)))
    vm = ctx.find(args.name)
    seen = await directories.look(ctx.fleet, args.project_dir)
    if seen.directory is None:
        raise errors.UsageError(f"{seen.path} is not a directory, or cannot be read")
    record = vm.record
    if not directories.belongs(record, seen) and not args.force:
        there = await lookups.run(directories.is_there, record)
        if there:
            raise errors.NameTaken(
                f"VM {vm.name} belongs to {record.project}, which still exists",
                actions=(errors.Action("force_adopt_vm", name=vm.name),),
            )
    directory = await directories.settle(ctx.fleet, seen)
    vm.update(project=seen.path)
    directories.note(ctx.fleet, seen, vm, directory, own=True)
    await ctx.fleet.store.flush()
    return status.vm_status(vm)
