"""The clocks. Other modules take time from here, so that tests can replace it in one place."""

from __future__ import annotations

import datetime
import time


def now() -> float:
    """Wall-clock time in seconds since 1970; may jump."""
    return time.time()


def now_ns() -> int:
    """Wall-clock time in nanoseconds since 1970; may jump."""
    return time.time_ns()


def monotonic() -> float:
    """Seconds on a clock that never goes back; only differences mean something."""
    return time.monotonic()


def monotonic_ns() -> int:
    """Like ``monotonic``, in nanoseconds."""
    return time.monotonic_ns()


def stamp(seconds: float) -> str:
    """Format seconds since 1970 as ``utc_stamp`` does."""
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def utc_stamp() -> str:
    """Return wall-clock time as GaoVM shows and stores it: ``2025-01-31T12:34:56.789Z``."""
    return stamp(now())
