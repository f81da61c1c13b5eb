"""Turn what drivers report about their windows into events."""

from __future__ import annotations

from gaovm.daemon.storage import events
from gaovm.wire.control import payloads
from gaovm.wire.driver import notifications


def on_report(topic: events.Events, name: str, report: notifications.Display) -> None:
    """Tell clients that the window of a VM has opened or closed."""
    if report.open:
        topic.tell(name, payloads.DisplayOpened(width=report.width, height=report.height))
    else:
        topic.tell(name, payloads.DisplayClosed(reason=(report.reason or "asked")[:40]))
