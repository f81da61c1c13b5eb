"""Translate our events to the names and keys of ``gaovm.v1.2``; the protocol has no others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gaovm.daemon.legacy import vms
from gaovm.daemon.storage import events

_Payload = Mapping[str, Any]


def translate(event: events.Event) -> dict[str, Any] | None:
    """Make the parameters of an ``event`` notification; None: old clients do not know it."""
    shape = _SHAPES.get(event.type)
    if event.vm != vms.name() or shape is None:
        return None
    payload = shape(event.payload)
    if payload is None:
        return None
    return {"type": _type(event), "payload": payload, "ts": event.ts}


def _type(event: events.Event) -> str:
    if event.type == "vm.config.staged":
        how = "replaced" if event.payload.get("replaced") else "written"
        return f"event.pending_config_{how}"
    return _TYPES.get(event.type, event.type)


def _only(*keys: str) -> Callable[[_Payload], _Payload]:
    return lambda payload: {key: payload[key] for key in keys}


def _exited(payload: _Payload) -> _Payload | None:
    # if the daemon asked the driver to leave, driver.stopped reports its end
    if payload.get("expected"):
        return None
    return {"pid": payload["pid"], "exitCode": payload["exit_code"]}


def _started(payload: _Payload) -> _Payload:
    return {"pid": payload["pid"], "socketPath": payload["socket_path"]}


def _restart(payload: _Payload) -> _Payload:
    # the contract wants whole seconds, without jitter
    return {"attempt": payload["attempt"], "delaySeconds": round(payload["nominal_s"])}


def _failure(payload: _Payload) -> _Payload:
    told: dict[str, Any] = {key: payload[key] for key in ("reason", "attempts")}
    if "window_limit" in payload:
        told["windowLimit"] = payload["window_limit"]
        told["windowSeconds"] = round(payload["window_s"])
    return told


def _updated(payload: _Payload) -> _Payload:
    return {
        "restartRequired": payload["restart_required"],
        "applied": payload["applied"],
        "whileRunning": payload["while_running"],
    }


def _staged(payload: _Payload) -> _Payload:
    required = payload.get("restart_required", True)  # events of older daemons lack it
    return {"restartRequired": required, "currentConfigUnchanged": True}


_TYPES = {"vm.config.updated": "config.updated", "vm.config.applied": "config.pending_applied"}

_SHAPES: dict[str, Callable[[_Payload], _Payload | None]] = {
    "driver.started": _started,
    "driver.start_failed": _only("error"),
    "driver.stopped": _only(),
    "driver.exited": _exited,
    "driver.restart_scheduled": _restart,
    "driver.permanent_failure": _failure,
    "vm.config.updated": _updated,
    "vm.config.applied": lambda payload: {"applied": True},
    "vm.config.staged": _staged,
}
