"""Sizes in Lima's form: ``8GiB``, ``512MiB``, ``1.5g``. A unit is required; all are binary."""

from __future__ import annotations

import re
from fractions import Fraction

_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?) ?([kKmMgGtTpP]?)([iI]?)([bB]?)\Z")
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_EXAMPLE = "a number with a unit, such as 8GiB or 512MiB"


def parse(text: str) -> int:
    """Return the bytes of a size.

    Raises:
        ValueError: the text is not a size or has no unit; the message names the text and the
            expected form.
    """
    match = _SIZE.match(text.strip())
    if match is None:
        raise ValueError(f"expected {_EXAMPLE}; found `{text[:60]}`")
    number, letter, binary, byte = match.groups()
    if not letter and (binary or not byte):
        raise ValueError(f"size with no unit: found `{text[:60]}`, expected {_EXAMPLE}")
    return int(Fraction(number) * 1024 ** _POWERS[letter.lower()])


def parse_as_lima(text: str) -> int:
    """Return the bytes of a size as Lima reads it: without a unit it is a number of bytes.

    Raises:
        ValueError: the text is not a size.
    """
    match = _SIZE.match(text.strip())
    if match is None:
        raise ValueError(f"expected {_EXAMPLE}; found `{text[:60]}`")
    return int(Fraction(match[1]) * 1024 ** _POWERS[match[2].lower()])


def show(size_bytes: int) -> str:
    """Return a size for people, in the largest unit that gives a whole number."""
    for unit, power in (("TiB", 4), ("GiB", 3), ("MiB", 2), ("KiB", 1)):
        if size_bytes and size_bytes % 1024**power == 0:
            return f"{size_bytes // 1024**power}{unit}"
    return f"{size_bytes}B"
