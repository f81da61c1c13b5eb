"""Times as they are stored and sent: UTC, ISO 8601, milliseconds."""

from __future__ import annotations

import time

from gaovm.aio import clock


def now() -> str:
    """The present time, as in ``2026-11-21T07:30:00.123Z``."""
    return of(clock.now())


def of(seconds: float) -> str:
    """A time given as seconds since the epoch."""
    return f"{_format('%Y-%m-%dT%H:%M:%S', seconds)}.{_millis(seconds):03d}Z"


def compact() -> str:
    """The present time for a file name, as in ``20261121T073000.123``."""
    seconds = clock.now()
    return f"{_format('%Y%m%dT%H%M%S', seconds)}.{_millis(seconds):03d}"


def _format(form: str, seconds: float) -> str:
    return time.strftime(form, time.gmtime(seconds))


def _millis(seconds: float) -> int:
    return int(seconds * 1000) % 1000
