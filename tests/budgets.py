"""How much input tests make up for themselves: little by default, much with ``pytest --long``."""

from __future__ import annotations

#: Set from the option before any test module is imported.
LONG = False


def examples(usual: int, long: int) -> int:
    """The number of examples that a test tries in this run."""
    return long if LONG else usual
