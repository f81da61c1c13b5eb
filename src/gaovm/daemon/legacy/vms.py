"""The VM that old clients see: list, status, start, stop, display, doctor, and its driver."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import msgspec

from gaovm import errors
from gaovm.daemon import timestamps
from gaovm.daemon.dispatch import context
from gaovm.daemon.dispatch.methods import display
from gaovm.daemon.lifecycle import stop
from gaovm.daemon.vms import machine
from gaovm.model import states
from gaovm.wire import convert
from gaovm.wire.control import display as wire
from gaovm.wire.control import target

VM_ID = "default"
_ENABLE_EXEC = "GAOVM_ENABLE_DRIVER_EXEC"
_NO_EXEC = "driver.exec is disabled (set GAOVM_ENABLE_DRIVER_EXEC=1 for debug use)"
#: From the contract: how long the daemon waits for the driver's answer.
_DRIVER_CALL_S = 5.0


def name() -> str:
    """The name of the VM that old clients see."""
    return os.environ.get("GAOVM_DEFAULT_VM") or VM_ID


def machine_of(ctx: context.Daemon) -> machine.Machine:
    """Return the VM that old clients see.

    Raises:
        errors.InvalidParams: no VM has that name.
    """
    vm = ctx.fleet.machines.get(name())
    if vm is None:
        raise errors.InvalidParams(f"There is no VM {name()!r} for id {VM_ID!r}")
    return vm


async def ping(ctx: context.Daemon, call: context.Call, data: Any) -> Any:
    """Answer that the daemon is there."""
    return {"ok": True, "ts": timestamps.now()}


async def subscribe(ctx: context.Daemon, call: context.Call, data: Any) -> Any:
    """Subscribe to all events from now on: no filter, no replay."""
    call.subscribe()
    return {"ok": True}


async def list_all(ctx: context.Daemon, call: context.Call, data: Any) -> Any:
    """List the one VM, or none."""
    vm = ctx.fleet.machines.get(name())
    if vm is None:
        return []
    status = _brief(vm)
    return [{"id": VM_ID, **{key: status[key] for key in ("desired", "actual", "driverPid")}}]


async def start(ctx: context.Daemon, call: context.Call, data: Any) -> Any:
    """Start the VM with its pending config applied; return when the hypervisor runs."""
    vm = machine_of(ctx)
    if vm.up is None and (vm.state.readiness is None or vm.endings):
        ctx.starter.begin(vm, created=False)
    if vm.up is not None:
        vm.up.keep()  # an old client's start goes on even if the client goes away
        await vm.up.wait(lambda _: None, until="started")
    return await _status(ctx, call, vm)


async def stop_vm(ctx: context.Daemon, call: context.Call, data: Any) -> Any:
    """Stop the VM."""
    vm = machine_of(ctx)
    await ctx.to_its_end(f"vm {vm.name}: stop", stop.stop(vm))
    return await _status(ctx, call, vm)


async def show(ctx: context.Daemon, call: context.Call, data: Any) -> Any:
    """Return the VM's status, with the driver's view if there is a driver."""
    return await _status(ctx, call, machine_of(ctx))


async def open_display(ctx: context.Daemon, call: context.Call, data: Any) -> Any:
    """Open the window on the desktop that the driver inherited; return the driver's result."""
    vm = machine_of(ctx)
    return await display.open_window(ctx, call, wire.Open(name=vm.name))


async def close_display(ctx: context.Daemon, call: context.Call, data: Any) -> Any:
    """Close the window; return the driver's result."""
    vm = machine_of(ctx)
    return await display.close_window(ctx, call, target.Named(name=vm.name))


class _Exec(msgspec.Struct, forbid_unknown_fields=True):
    method: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    params: dict[str, Any] | None = None
    id: str = VM_ID


async def driver_exec(ctx: context.Daemon, call: context.Call, data: Any) -> Any:
    """Relay one call to the driver: for debugging, and only if the environment allows it.

    Raises:
        errors.UnknownMethod: the environment does not allow it.
    """
    if os.environ.get(_ENABLE_EXEC) != "1":
        raise errors.UnknownMethod(_NO_EXEC)
    wanted = convert.decode(_Exec, "driver.exec", data)
    vm = machine_of(ctx)
    if vm.driver is None:
        raise errors.StateConflict("The driver is not running")
    result = await vm.driver.relay(wanted.method, wanted.params or {}, timeout_s=_DRIVER_CALL_S)
    return {"method": wanted.method, "driverResult": result}


async def doctor(ctx: context.Daemon, call: context.Call, data: Any) -> Any:
    """Return what a driver needs on this host."""
    vm = ctx.fleet.machines.get(name())
    driver_socket = _socket_path(vm) if vm is not None else None
    home = ctx.fleet.paths.home
    checks = {
        "driverBinaryPath": sys.executable,
        "driverBinaryExists": os.access(sys.executable, os.X_OK),
        "driverSocketPath": driver_socket,
        "driverSocketExists": driver_socket is not None and Path(driver_socket).exists(),
        "stateDir": str(home),
        "stateDirExists": home.is_dir(),
    }
    ok = bool(checks["driverBinaryExists"] and checks["stateDirExists"])
    return {"ok": ok, "daemon": "running", "checks": checks}


def _socket_path(vm: machine.Machine) -> str:
    return str(vm.fleet.paths.driver_socket(vm.record.run_id))


def _brief(vm: machine.Machine) -> dict[str, Any]:
    driver, record = vm.driver, vm.record
    failure = record.last_error
    return {
        "desired": vm.state.desired,
        # "running" has always meant that a driver is connected
        "actual": "running" if driver is not None else "stopped",
        "restartAttempts": record.restarts.attempts,
        "maxRestartAttempts": record.spec.supervision.restart.max_attempts,
        "driverPid": driver.pid if driver is not None else None,
        "driverSocketPath": _socket_path(vm) if driver is not None else None,
        "lastFailure": failure.message if failure is not None else None,
    }


async def _status(ctx: context.Daemon, call: context.Call, vm: machine.Machine) -> dict[str, Any]:
    status = _brief(vm)
    if vm.driver is None:
        return status
    observed = vm.state.observed
    running = observed is states.Observed.RUNNING
    try:
        window = await display.show(ctx, call, target.Named(name=vm.name))
    except errors.GaoError as exc:
        return {**status, "driverVmError": exc.message}
    status["driverVm"] = {
        "configured": True,
        "graphicsWindowOpen": window.open,
        "state": _STATES.get(observed, "paused" if vm.paused else str(observed)),
        "canStart": observed in states.AT_REST,
        "canPause": running and not vm.paused,
        "canResume": running and vm.paused,
        "canRequestStop": running,
    }
    return status


_STATES = {states.Observed.FAILED: "error", states.Observed.BACKOFF: "stopped"}
