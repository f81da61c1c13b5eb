"""``vm.adopt``: a VM becomes another directory's, because a person says so."""

from __future__ import annotations

import asyncio
from typing import Any

from gaovm import errors
from gaovm.daemon import context, directories, params, status


async def adopt(ctx: context.Context, call: context.Call, args: params.Adopt) -> Any:
    """Give a VM to a directory; without a name only tell which VMs have lost theirs.

    The next ``up`` in that directory reads its file for the VM.

    Raises:
        errors.VmNotFound: there is no VM of that name.
        errors.NameTaken: its directory is where it was, and nobody said ``force``.
    """
    if args.name is None:
        lost = await directories.lost(ctx.hub)
        return {"lost": [status.vm_status(subject) for subject in lost]}
    subject = ctx.find(args.name)
    seen = await directories.look(ctx.hub, args.project_dir)
    if seen.directory is None:
        raise errors.UsageError(f"{seen.path} is no directory that can be looked at")
    record = subject.record
    if not directories.belongs(record, seen) and not args.force:
        there = await asyncio.to_thread(directories.is_there, record)
        if there:
            raise errors.NameTaken(
                f"VM {subject.name} belongs to {record.project}, which is there",
                remedy="--force takes it away from that directory",
            )
    directory = await directories.settle(ctx.hub, seen)
    subject.update(project=seen.path)
    directories.note(ctx.hub, seen, subject, directory, own=True)
    await ctx.hub.store.flush()
    return status.vm_status(subject)
