"""Times as in ``30s``, ``1.5m``, ``500ms``; a bare number is seconds."""

from __future__ import annotations

import re

_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?) ?(ms|s|m|h|)\Z")
_SECONDS = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "h": 3600.0}


def parse(text: str) -> float:
    """Seconds of a duration.

    Raises:
        ValueError: it is none; the message says what was found and expected.
    """
    match = _DURATION.match(text.strip())
    if match is None:
        raise ValueError(f"expected a time such as 30s or 2m; found `{text[:60]}`")
    number, unit = match.groups()
    return round(float(number) * _SECONDS[unit], 6)


def show(seconds: float) -> str:
    """A duration for people."""
    return f"{seconds:g}s"
