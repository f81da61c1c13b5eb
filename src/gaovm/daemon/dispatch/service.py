"""Bind each method of ``gaovm.control.v1`` to its function, and dispatch calls.

The methods, their parameters and results are in ``wire.control.table``.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec

from gaovm import errors
from gaovm.daemon.dispatch import context
from gaovm.daemon.dispatch.methods import (
    adopting,
    config,
    disks,
    display,
    images,
    logs,
    ports,
    process,
    sessions,
    up,
    vms,
)
from gaovm.daemon.vms import directories
from gaovm.wire import convert
from gaovm.wire.control import config as wire_config
from gaovm.wire.control import logs as wire_logs
from gaovm.wire.control import table, target
from gaovm.wire.method import Method

logger = logging.getLogger(__name__)

P = TypeVar("P", bound=msgspec.Struct)
R = TypeVar("R")
Handler = Callable[[context.Daemon, context.Call, Any], Awaitable[Any]]


def _on(
    row: Method[P, R], handler: Callable[[context.Daemon, context.Call, P], Awaitable[R]]
) -> tuple[str, Handler]:
    """One entry of ``HANDLERS``; the type checker compares the function with the table's row."""
    return row.name, handler


#: The function of each method in the table; a test checks that none is missing or extra.
HANDLERS: dict[str, Handler] = dict(
    (
        _on(table.PING, process.ping),
        _on(table.CALL_CANCEL, process.cancel),
        _on(table.DAEMON_STATUS, process.daemon_status),
        _on(table.DAEMON_STOP, process.daemon_stop),
        _on(table.DAEMON_UPGRADE, process.daemon_upgrade),
        _on(table.EVENTS_SUBSCRIBE, process.subscribe),
        _on(table.VM_LIST, vms.list_all),
        _on(table.VM_STATUS, vms.show),
        _on(table.VM_UP, up.up),
        _on(table.VM_CREATE, up.create),
        _on(table.VM_START, vms.start_vm),
        _on(table.VM_STOP, vms.stop_vm),
        _on(table.VM_RESTART, vms.restart),
        _on(table.VM_PAUSE, vms.pause),
        _on(table.VM_RESUME, vms.resume),
        _on(table.VM_PROTECT, vms.protect),
        _on(table.VM_DESTROY, vms.destroy),
        _on(table.VM_ADOPT, adopting.adopt),
        _on(table.VM_PROVISION, vms.provision),
        _on(table.VM_CONFIG_SET, config.change),
        _on(table.VM_CONFIG_DIFF, config.diff),
        _on(table.VM_CONFIG_PLAN, config.plan),
        _on(table.VM_SESSION, sessions.open_session),
        _on(table.VM_PORTS_LIST, ports.list_all),
        _on(table.VM_PORTS_ADD, ports.add),
        _on(table.VM_PORTS_REMOVE, ports.remove),
        _on(table.VM_DISPLAY_OPEN, display.open_window),
        _on(table.VM_DISPLAY_CLOSE, display.close_window),
        _on(table.VM_DISPLAY_STATUS, display.show),
        _on(table.VM_DISPLAY_SCREENSHOT, display.screenshot),
        _on(table.IMAGE_LIST, images.list_all),
        _on(table.IMAGE_BUILD, images.build),
        _on(table.IMAGE_PULL, images.pull),
        _on(table.IMAGE_REMOVE, images.remove),
        _on(table.IMAGE_PRUNE, images.prune),
        _on(table.DISK_LIST, disks.list_all),
        _on(table.DISK_CREATE, disks.create),
        _on(table.DISK_IMPORT, disks.bring),
        _on(table.DISK_RESIZE, disks.resize),
        _on(table.DISK_REMOVE, disks.remove),
        _on(table.LOG_LEVEL, logs.level),
    )
)


async def dispatch(ctx: context.Daemon, call: context.Call, method: str, data: Any) -> Any:
    """Decode the parameters, call the method's function, and return its result.

    Raises:
        errors.UnknownMethod, errors.InvalidParams: nothing was done.
        errors.GaoError: whatever the method raises.
    """
    row, handler = table.METHODS.get(method), HANDLERS.get(method)
    if row is None or handler is None:
        raise errors.UnknownMethod(f"Unknown method: {method}")
    if ctx.stopping and method in table.OPERATIONS:
        raise errors.StateConflict("the daemon is stopping", remedy="try again when it has ended")
    logger.debug("call %s", method)
    decoded = convert.decode(row.params, method, data)
    if isinstance(decoded, target.OfVm | wire_logs.SetLevel) and decoded.of_project is not None:
        decoded = await _of_directory(ctx, decoded, decoded.of_project)
    return await handler(ctx, call, decoded)


async def _of_directory(ctx: context.Daemon, decoded: Any, path: str) -> Any:
    """Fill in the name of the VM that the caller means by a project's directory.

    Raises:
        errors.VmNotFound: the directory has no VM.
    """
    seen = await directories.look(ctx.fleet, path)
    vm = directories.default_of(ctx.fleet, seen)
    if vm is not None:
        return msgspec.structs.replace(decoded, name=vm.name)
    if isinstance(decoded, wire_config.Plan) and decoded.project is not None:
        # an `up` would make the VM, so its plan needs none
        return msgspec.structs.replace(decoded, name=directories.free_name(ctx.fleet, seen.path))
    raise directories.missing(ctx.fleet, seen)
