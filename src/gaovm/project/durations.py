"""Durations in config files and on the command line: ``30s``, ``1.5m``, ``500ms``, ``2d``.

A bare number means seconds. Commands load this module, so it imports nothing.
"""

from __future__ import annotations

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_EXAMPLE = "a time such as 30s, 2m or 1h"


def parse(text: str) -> float:
    """Return the seconds of a duration.

    Raises:
        ValueError: the text is not a duration; the message names the text and the expected form.
    """
    given = text.strip()
    unit = next((each for each in _SECONDS if given.endswith(each)), "")
    number = given.removesuffix(unit)
    whole, dot, fraction = number.removesuffix(" " if unit else "").partition(".")
    if not _digits(whole, 9) or (dot and not _digits(fraction, 6)):
        raise ValueError(f"expected {_EXAMPLE}; found `{text[:60]}`")
    return round(float(f"{whole}.{fraction or 0}") * _SECONDS[unit or "s"], 6)


def _digits(text: str, most: int) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= most


def show(seconds: float) -> str:
    """Return a duration as text for people."""
    return f"{seconds:g}s"
