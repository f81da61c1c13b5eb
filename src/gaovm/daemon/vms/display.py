"""What drivers tell of their windows, as events."""

from __future__ import annotations

import logging

import msgspec

from gaovm.daemon.storage import events
from gaovm.wire import anyjson
from gaovm.wire.control import payloads

logger = logging.getLogger(__name__)


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A driver's ``display`` notification; fields that it adds later are ignored."""

    open: bool
    reason: str = "asked"
    width: int = 0
    height: int = 0


def on_report(topic: events.Events, name: str, params: anyjson.Object) -> None:
    """Take in a ``display`` notification of a VM; nonsense is logged and dropped."""
    try:
        report = msgspec.convert(params, Report)
    except msgspec.ValidationError as exc:
        logger.warning("vm %s: bad report of the driver: %s", name, exc)
        return
    if report.open:
        topic.tell(name, payloads.DisplayOpened(width=report.width, height=report.height))
    else:
        topic.tell(name, payloads.DisplayClosed(reason=report.reason[:40]))
