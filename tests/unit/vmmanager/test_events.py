"""QEMU's events become the names that every back end uses, or nothing."""

from __future__ import annotations

from typing import Any

import pytest

from gaovm.vmmanager import events
from gaovm.vmmanager.qemu.events import neutral


@pytest.mark.parametrize(
    ("name", "data", "event"),
    [
        ("RESET", {"guest": True}, events.Reset()),
        ("WATCHDOG", {"action": "none"}, events.WatchdogFired()),
        ("STOP", {}, events.Paused()),
        ("RESUME", {}, events.Resumed()),
        ("GUEST_PANICKED", {"action": "pause"}, events.Panicked(paused=True)),
        ("GUEST_PANICKED", {"action": "poweroff"}, events.Panicked(paused=False)),
        ("GUEST_PANICKED", {}, events.Panicked(paused=False)),
        ("BLOCK_IO_ERROR", {"action": "stop", "nospace": True}, events.DiskFailed(no_space=True)),
        ("BLOCK_IO_ERROR", {"action": "stop"}, events.DiskFailed(no_space=False)),
        ("BLOCK_IO_ERROR", {"action": "report", "nospace": True}, None),
        ("VSERPORT_CHANGE", {"open": True}, events.PortChanged(is_open=True)),
        ("VSERPORT_CHANGE", {"open": 1}, events.PortChanged(is_open=False)),
        ("RTC_CHANGE", {}, None),
    ],
)
def test_an_event_gets_a_neutral_name(
    name: str, data: dict[str, Any], event: events.Event | None
) -> None:
    assert neutral(name, data) == event
