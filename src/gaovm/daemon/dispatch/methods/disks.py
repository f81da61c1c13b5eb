"""``disk.*``: list, create, import, resize, remove.

What was begun goes on without its caller, apart from an import, which may take long.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from gaovm import errors
from gaovm.daemon.disks import disk_files, registry
from gaovm.daemon.dispatch import context
from gaovm.daemon.storage.disk_rows import DiskRecord
from gaovm.daemon.vms import additional_disks
from gaovm.wire.control import disks as wire
from gaovm.wire.control import target


async def list_all(ctx: context.Daemon, call: context.Call, args: target.Nothing) -> wire.DiskList:
    """List every disk that is whole, and who uses it."""
    records = [each for each in ctx.fleet.disks.records.values() if each.state == "ready"]
    records.sort(key=lambda record: record.name)
    return wire.DiskList(disks=tuple([await _info(ctx, record) for record in records]))


async def create(ctx: context.Daemon, call: context.Call, args: wire.Create) -> wire.DiskInfo:
    """Make an empty disk."""
    work = ctx.fleet.disks.create(args.name, args.format, args.size_bytes)
    return await _info(ctx, await ctx.to_its_end(f"disk {args.name}: create", work))


async def bring(ctx: context.Daemon, call: context.Call, args: wire.Import) -> wire.DiskInfo:
    """Make a disk from a copy of a file; undone when the caller withdraws."""
    source = Path(args.path)
    if not source.is_absolute() or "\0" in args.path:
        raise errors.InvalidParams("disk.import: path is not absolute", field="path")
    return await _info(ctx, await ctx.fleet.disks.bring(args.name, source))


async def resize(ctx: context.Daemon, call: context.Call, args: wire.Resize) -> wire.DiskInfo:
    """Make a disk larger."""
    ctx.fleet.disks.find(args.name)
    _check_free(ctx, args.name)
    work = ctx.fleet.disks.resize(args.name, args.size_bytes)
    return await _info(ctx, await ctx.to_its_end(f"disk {args.name}: resize", work))


async def remove(ctx: context.Daemon, call: context.Call, args: wire.Remove) -> wire.RemovedDisk:
    """Remove a disk that no VM uses.

    Raises:
        errors.DiskInUse: a VM has it now; or a config names it, and ``force`` is not set.
    """
    ctx.fleet.disks.find(args.name)
    _check_free(ctx, args.name)
    naming = additional_disks.naming(ctx.fleet.machines.values(), args.name)
    if naming and not args.force:
        raise errors.DiskInUse(
            f"the config of VM {', '.join(naming)} names disk {args.name}",
            remedy="take it out of additionalDisks, or remove it by force",
            details={"disk": args.name, "used_by": naming},
        )
    work = ctx.fleet.disks.remove(args.name)
    freed = await ctx.to_its_end(f"disk {args.name}: remove", work)
    return wire.RemovedDisk(name=args.name, freed_bytes=freed)


def _check_free(ctx: context.Daemon, name: str) -> None:
    """Refuse where this daemon knows the VM that has the disk: its lock knows only a process."""
    user = additional_disks.using(ctx.fleet.machines.values(), name)
    if user is not None:
        raise registry.in_use(name, None, user)


async def _info(ctx: context.Daemon, record: DiskRecord) -> wire.DiskInfo:
    directory = ctx.fleet.disks.directory(record.name)
    used, problem = await asyncio.to_thread(_look, directory, record)
    machines = ctx.fleet.machines.values()
    return wire.DiskInfo(
        name=record.name,
        format=record.format,
        size_bytes=record.size_bytes,
        used_bytes=used,
        dir=str(directory),
        created_at=record.created_at,
        in_use_by=additional_disks.using(machines, record.name),
        used_by=tuple(additional_disks.naming(machines, record.name)),
        problem=problem,
    )


def _look(directory: Path, record: DiskRecord) -> tuple[int, str | None]:
    there = disk_files.path(directory, record.format)
    problem = None if there.is_file() else f"its file is gone: {there}"
    return disk_files.used_bytes(directory), problem
