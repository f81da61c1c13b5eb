"""Translate QEMU's events into those of ``vmmanager.events``, which fit every back end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gaovm.vmmanager import events

_PLAIN: dict[str, events.Event] = {
    "RESET": events.Reset(),
    "WATCHDOG": events.WatchdogFired(),
    "STOP": events.Paused(),
    "RESUME": events.Resumed(),
}


def neutral(name: str, data: Mapping[str, Any]) -> events.Event | None:
    """Return the neutral event for QEMU's; None if nobody acts on it."""
    if name == "GUEST_PANICKED":
        return events.Panicked(paused=data.get("action") == "pause")
    if name == "BLOCK_IO_ERROR":
        # "report" and "ignore" concern only the guest
        stopped = data.get("action") == "stop"
        return events.DiskFailed(no_space=bool(data.get("nospace"))) if stopped else None
    if name == "VSERPORT_CHANGE":
        return events.PortChanged(is_open=data.get("open") is True)
    return _PLAIN.get(name)
