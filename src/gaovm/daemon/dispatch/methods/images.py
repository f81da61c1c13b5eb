"""``image.*``: list, build, pull, remove, prune."""

from __future__ import annotations

import msgspec

from gaovm.daemon.dispatch import context
from gaovm.wire.control import images as wire
from gaovm.wire.control import target


def used_by(ctx: context.Daemon) -> dict[str, list[str]]:
    """Map the digest of each image to the VMs whose disks are overlays of it."""
    used: dict[str, list[str]] = {}
    for vm in sorted(ctx.fleet.machines.values(), key=lambda vm: vm.name):
        if vm.record.image is not None:
            used.setdefault(vm.record.image.digest, []).append(vm.name)
    return used


async def list_all(ctx: context.Daemon, call: context.Call, args: target.Nothing) -> wire.ImageList:
    """List every image of the store and who uses it."""
    used = used_by(ctx)
    images = await ctx.images.all()
    return wire.ImageList(images=tuple(_with_users(image, used) for image in images))


async def build(ctx: context.Daemon, call: context.Call, args: wire.Build) -> wire.Image:
    """Build an image. Callers of one build share it; it ends when the last one withdraws."""
    image = await ctx.images.build(args, call.progress)
    return _with_users(image, used_by(ctx))


async def pull(ctx: context.Daemon, call: context.Call, args: wire.Pull) -> wire.Image:
    """Fetch an image by location and digest. Callers share it as they share a build."""
    image = await ctx.images.pull(args.location, args.digest, call.progress)
    return _with_users(image, used_by(ctx))


async def remove(ctx: context.Daemon, call: context.Call, args: wire.Remove) -> wire.Pruned:
    """Remove an image that no VM uses."""
    return await ctx.images.remove(args.ref, used_by(ctx))


async def prune(ctx: context.Daemon, call: context.Call, args: wire.Prune) -> wire.Pruned:
    """Remove every image that no VM uses; with ``cache`` also what GaoVM can make again."""
    if args.cache:
        cleared = await ctx.images.clear_cache()
        pruned = await ctx.images.prune(used_by(ctx))
        return msgspec.structs.replace(pruned, cache_freed_bytes=cleared)
    return await ctx.images.prune(used_by(ctx))


def _with_users(image: wire.ImageInfo, used: dict[str, list[str]]) -> wire.Image:
    users = tuple(used.get(image.digest, ()))
    return wire.Image(**msgspec.structs.asdict(image), used_by=users)
