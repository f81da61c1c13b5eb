"""The table of methods of ``gaovm.control.v1``: name, parameters, function. No wildcard."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from gaovm import errors
from gaovm.daemon import params
from gaovm.daemon.dispatch import context
from gaovm.daemon.dispatch.methods import (
    adopting,
    config,
    display,
    images,
    logs,
    ports,
    process,
    sessions,
    vms,
)
from gaovm.daemon.vms import directories

logger = logging.getLogger(__name__)

Handler = Callable[[context.Daemon, context.Call, Any], Awaitable[Any]]

METHODS: dict[str, tuple[type[msgspec.Struct], Handler]] = {
    "ping": (params.Nothing, process.ping),
    "daemon.status": (params.Nothing, process.daemon_status),
    "daemon.stop": (params.Nothing, process.daemon_stop),
    "daemon.upgrade": (params.Upgrade, process.daemon_upgrade),
    "events.subscribe": (params.Subscribe, process.subscribe),
    "call.cancel": (params.CallCancel, process.cancel),
    "vm.list": (params.List, vms.list_all),
    "vm.status": (params.Status, vms.show),
    "vm.up": (params.Up, vms.up),
    "vm.start": (params.Start, vms.start_vm),
    "vm.stop": (params.Stop, vms.stop_vm),
    "vm.restart": (params.Restart, vms.restart),
    "vm.pause": (params.Named, vms.pause),
    "vm.resume": (params.Named, vms.resume),
    "vm.destroy": (params.Named, vms.destroy),
    "vm.adopt": (params.Adopt, adopting.adopt),
    "vm.provision": (params.Provision, vms.provision),
    "vm.config.set": (params.ConfigSet, config.change),
    "vm.config.diff": (params.ConfigDiff, config.diff),
    "vm.config.plan": (params.ConfigPlan, config.plan),
    "vm.session": (params.Session, sessions.open_session),
    "vm.ports.list": (params.Named, ports.list_all),
    "vm.ports.add": (params.PortAdd, ports.add),
    "vm.ports.remove": (params.PortRemove, ports.remove),
    "vm.display.open": (params.DisplayOpen, display.open_window),
    "vm.display.close": (params.Named, display.close_window),
    "vm.display.status": (params.Named, display.show),
    "vm.display.screenshot": (params.Named, display.screenshot),
    "image.list": (params.Nothing, images.list_all),
    "image.build": (params.ImageBuild, images.build),
    "image.pull": (params.ImagePull, images.pull),
    "image.remove": (params.ImageRemove, images.remove),
    "image.prune": (params.ImagePrune, images.prune),
    "log.level": (params.LogLevel, logs.level),
}


#: What a daemon that is on its way out does not begin any more.
BEGINNINGS = (
    "daemon.upgrade",
    "vm.up",
    "vm.start",
    "vm.restart",
    "vm.provision",
    "image.build",
    "image.pull",
)


async def dispatch(ctx: context.Daemon, call: context.Call, method: str, data: Any) -> Any:
    """Decode, call, return JSON data.

    Raises:
        errors.UnknownMethod, errors.InvalidParams: nothing was done.
        errors.GaoError: whatever the method raises.
    """
    entry = METHODS.get(method)
    if entry is None:
        raise errors.UnknownMethod(f"Unknown method: {method}")
    if ctx.stopping and method in BEGINNINGS:
        raise errors.StateConflict("the daemon is stopping", remedy="try again when it has ended")
    logger.debug("call %s", method)
    kind, handler = entry
    decoded = params.decode(kind, method, data)
    if isinstance(decoded, params.OfVm | params.LogLevel) and decoded.of_project is not None:
        decoded = await _of_directory(ctx, decoded, decoded.of_project)
    return await handler(ctx, call, decoded)


async def _of_directory(ctx: context.Daemon, decoded: Any, path: str) -> Any:
    """The parameters with the name of the VM that a directory means.

    Raises:
        errors.VmNotFound: it has none.
    """
    seen = await directories.look(ctx.fleet, path)
    vm = directories.default_of(ctx.fleet, seen)
    if vm is not None:
        return msgspec.structs.replace(decoded, name=vm.name)
    if isinstance(decoded, params.ConfigPlan) and decoded.project is not None:
        # what an `up` would do, which makes one
        return msgspec.structs.replace(decoded, name=directories.free_name(ctx.fleet, seen.path))
    raise directories.missing(ctx.fleet, seen)
