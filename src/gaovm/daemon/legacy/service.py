"""Dispatch the calls of ``gaovm.v1.2``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from gaovm import errors
from gaovm.daemon.dispatch import context
from gaovm.daemon.legacy import config, vms
from gaovm.ipc import methods

#: The whole protocol, in the order in which the old daemon offered it.
CAPABILITIES = methods.LEGACY_METHODS

METHODS: dict[str, Callable[[context.Daemon, context.Call, Any], Awaitable[Any]]] = {
    "ping": vms.ping,
    "subscribe_events": vms.subscribe,
    "doctor": vms.doctor,
    "driver.exec": vms.driver_exec,
    "list_vms": vms.list_all,
    "vm.start": vms.start,
    "vm.stop": vms.stop_vm,
    "vm.status": vms.show,
    "vm.open_display": vms.open_display,
    "vm.close_display": vms.close_display,
    "vm.config.get": config.get,
    "vm.config.set": config.replace,
    "vm.config.patch": config.patch,
}


async def dispatch(ctx: context.Daemon, call: context.Call, method: str, data: Any) -> Any:
    """Answer one call of an old client; the shapes are those of ``gaovm.v1.2``.

    Raises:
        errors.UnknownMethod: -32601.
        errors.InvalidParams: -32602, there is no such VM, or a value is wrong.
        errors.GaoError: -32603, whatever else failed.
    """
    if ctx.stopping and method == "vm.start":
        raise errors.StateConflict("the daemon is stopping")
    handler = METHODS.get(method)
    if handler is None:
        raise errors.UnknownMethod(f"Unknown method: {method}")
    given = data.get("id", vms.VM_ID) if isinstance(data, dict) else vms.VM_ID
    if given != vms.VM_ID:
        raise errors.InvalidParams(f"Unknown VM: {given}", field="id")
    return await handler(ctx, call, data)
