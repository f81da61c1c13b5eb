"""What drivers tell of their windows, as events."""

from __future__ import annotations

import logging
from typing import Any

import msgspec

from gaovm.daemon.storage import events

logger = logging.getLogger(__name__)


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A driver's ``display`` notification; fields that it adds later are ignored."""

    open: bool
    reason: str = "asked"
    width: int = 0
    height: int = 0


def on_report(topic: events.Events, name: str, params: dict[str, Any]) -> None:
    """Take in a ``display`` notification of a VM; nonsense is logged and dropped."""
    try:
        report = msgspec.convert(params, Report)
    except msgspec.ValidationError as exc:
        logger.warning("vm %s: bad report of the driver: %s", name, exc)
        return
    if report.open:
        size = {"width": report.width, "height": report.height}
        topic.emit("display.opened", name, size)
    else:
        topic.emit("display.closed", name, {"reason": (report.reason or "asked")[:40]})
