"""Our events as old clients know them; the others are not for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gaovm.daemon.legacy import vms
from gaovm.daemon.storage import events

_Payload = dict[str, Any]


def translate(event: events.Event) -> dict[str, Any] | None:
    """The parameters of an ``event`` notification, or None when old clients do not know it."""
    shape = _SHAPES.get(event.type)
    if event.vm != vms.name() or shape is None:
        return None
    payload = shape(event.payload)
    if payload is None:
        return None
    return {"type": event.type, "payload": payload, "ts": event.ts}


def _only(*keys: str) -> Callable[[_Payload], _Payload]:
    return lambda payload: {key: payload[key] for key in keys}


def _exited(payload: _Payload) -> _Payload | None:
    # the end of a driver that was asked to leave is driver.stopped
    return None if payload.get("expected") else _only("pid", "exitCode")(payload)


def _restart(payload: _Payload) -> _Payload:
    # whole seconds, without jitter, as the contract has them
    return {"attempt": payload["attempt"], "delaySeconds": round(payload["nominal_s"])}


def _failure(payload: _Payload) -> _Payload:
    told = _only("reason", "attempts")(payload)
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


def _pending(payload: _Payload) -> _Payload:
    required = payload.get("restart_required", True)  # events of older daemons do not say
    return {"restartRequired": required, "currentConfigUnchanged": True}


_SHAPES: dict[str, Callable[[_Payload], _Payload | None]] = {
    "driver.started": _only("pid", "socketPath"),
    "driver.start_failed": _only("error"),
    "driver.stopped": _only(),
    "driver.exited": _exited,
    "driver.restart_scheduled": _restart,
    "driver.permanent_failure": _failure,
    "config.updated": _updated,
    "config.pending_applied": lambda payload: {"applied": True},
    "event.pending_config_written": _pending,
    "event.pending_config_replaced": _pending,
}
