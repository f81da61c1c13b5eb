"""How much input tests generate: little by default, much with ``pytest --long``."""

from __future__ import annotations

#: The option sets this before any test module is imported.
LONG = False


def examples(usual: int, long: int) -> int:
    """Return the number of examples that a test tries in this run."""
    return long if LONG else usual
