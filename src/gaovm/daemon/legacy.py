"""Old clients: ``gaovm.v1.2`` on the same socket, translated at the edge and nowhere stored.

They see one VM with id ``default``: the VM of that name, or the one ``GAOVM_DEFAULT_VM`` names.
What this version does not serve is not offered as a capability and refused by name.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from gaovm import errors
from gaovm.daemon import context, ending, events, machine, stamps
from gaovm.model import states
from gaovm.spec import vm

VM_ID = "default"
MAX_RESTARTS = 5
#: What is offered, in the order the old daemon offered it.
CAPABILITIES = (
    "hello",
    "ping",
    "subscribe_events",
    "doctor",
    "list_vms",
    "vm.start",
    "vm.stop",
    "vm.status",
    "vm.config.get",
)
#: Methods of the protocol that this daemon does not serve.
NOT_OFFERED = (
    "driver.exec",
    "vm.open_display",
    "vm.close_display",
    "vm.config.set",
    "vm.config.patch",
)
_EVENTS = ("driver.started", "driver.stopped", "driver.exited", "driver.start_failed")
_MIB = 1 << 20


async def dispatch(ctx: context.Context, call: context.Call, method: str, data: Any) -> Any:
    """Answer one call of an old client; the shapes are those of ``gaovm.v1.2``.

    Raises:
        errors.UnknownMethod: -32601.
        errors.CapabilityError: -32012, a method that is not offered.
        errors.InvalidParams: -32602, there is no such VM.
    """
    if ctx.stopping and method == "vm.start":
        raise errors.StateConflict("the daemon is stopping")
    if method in NOT_OFFERED:
        raise errors.CapabilityError(f"Capability not offered: {method}")
    handler = _METHODS.get(method)
    if handler is None:
        raise errors.UnknownMethod(f"Unknown method: {method}")
    given = data.get("id", VM_ID) if isinstance(data, dict) else VM_ID
    if given != VM_ID:
        raise errors.InvalidParams(f"Unknown VM: {given}", field="id")
    return await handler(ctx, call)


def name() -> str:
    """The name of the VM that old clients see."""
    return os.environ.get("GAOVM_DEFAULT_VM") or VM_ID


def translate(event: events.Event) -> dict[str, Any] | None:
    """The parameters of an ``event`` notification, or None when old clients do not know it."""
    if event.vm != name() or event.type not in _EVENTS:
        return None
    payload = dict(event.payload)
    if payload.pop("expected", False):
        return None  # the end of a driver that was asked to leave is driver.stopped
    return {"type": event.type, "payload": payload, "ts": event.ts}


def config_of(spec: vm.VmSpec, disk_path: str) -> dict[str, Any]:
    """A spec in the old form."""
    return {
        "cpu": spec.processors.count,
        "memory": spec.memory.size_bytes,
        "boot": {
            "loader": "linux",
            "kernelPath": None,
            "initrdPath": None,
            "commandLine": spec.boot.extra_arguments or None,
        },
        "disk": {"path": disk_path, "sizeMiB": spec.disk.size_bytes // _MIB},
        "network": {"mode": "shared"},
        "graphics": {"enabled": False, "width": 1280, "height": 800},
    }


def _machine(ctx: context.Context) -> machine.Machine:
    subject = ctx.hub.machines.get(name())
    if subject is None:
        raise errors.InvalidParams(f"There is no VM {name()!r} for id {VM_ID!r}")
    return subject


async def _ping(ctx: context.Context, call: context.Call) -> Any:
    return {"ok": True, "ts": stamps.now()}


async def _subscribe(ctx: context.Context, call: context.Call) -> Any:
    call.subscribe()
    return {"ok": True}


async def _list(ctx: context.Context, call: context.Call) -> Any:
    subject = ctx.hub.machines.get(name())
    if subject is None:
        return []
    status = _brief(subject)
    return [{"id": VM_ID, **{key: status[key] for key in ("desired", "actual", "driverPid")}}]


async def _start(ctx: context.Context, call: context.Call) -> Any:
    subject = _machine(ctx)
    if subject.up is None and subject.state.readiness is None:
        ctx.starter.begin(subject, {}, created=False)
    if subject.up is not None:
        subject.up.keep()  # an old client's start is never undone by its going away
        await subject.up.wait(lambda _: None, until="started")
    return _status(subject)


async def _stop(ctx: context.Context, call: context.Call) -> Any:
    subject = _machine(ctx)
    await ctx.to_its_end(f"vm {subject.name}: stop", ending.stop(subject))
    return _status(subject)


async def _show(ctx: context.Context, call: context.Call) -> Any:
    return _status(_machine(ctx))


async def _config(ctx: context.Context, call: context.Call) -> Any:
    subject = _machine(ctx)
    disk = ctx.hub.paths.vm_dir(subject.name) / "disk.qcow2"
    current = config_of(subject.record.spec, str(disk))
    return {"current": current, "pending": None, "hasPending": False}


async def _doctor(ctx: context.Context, call: context.Call) -> Any:
    subject = ctx.hub.machines.get(name())
    driver_socket = _socket_path(subject) if subject is not None else None
    home = ctx.hub.paths.home
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


def _socket_path(subject: machine.Machine) -> str:
    return str(subject.hub.paths.run_dir(subject.record.run_id) / "driver.sock")


def _brief(subject: machine.Machine) -> dict[str, Any]:
    driver, failure = subject.driver, subject.record.last_error
    return {
        "desired": subject.state.desired,
        # "running" has always meant that a driver is connected
        "actual": "running" if driver is not None else "stopped",
        "restartAttempts": 0,
        "maxRestartAttempts": MAX_RESTARTS,
        "driverPid": driver.pid if driver is not None else None,
        "driverSocketPath": _socket_path(subject) if driver is not None else None,
        "lastFailure": failure.message if failure is not None else None,
    }


def _status(subject: machine.Machine) -> dict[str, Any]:
    status = _brief(subject)
    if subject.driver is not None:
        observed = subject.state.observed
        running = observed is states.Observed.RUNNING
        status["driverVm"] = {
            "configured": True,
            "graphicsWindowOpen": False,
            "state": "error" if observed is states.Observed.FAILED else str(observed),
            "canStart": observed in states.AT_REST,
            "canPause": False,
            "canResume": False,
            "canRequestStop": running,
        }
    return status


_METHODS: dict[str, Callable[[context.Context, context.Call], Awaitable[Any]]] = {
    "ping": _ping,
    "subscribe_events": _subscribe,
    "doctor": _doctor,
    "list_vms": _list,
    "vm.start": _start,
    "vm.stop": _stop,
    "vm.status": _show,
    "vm.config.get": _config,
}
