"""Ask what becomes of a VM whose start is interrupted. Loaded only to ask."""

from __future__ import annotations

import sys

_QUESTION = "interrupted; the VM runs already. (u)ndo, (k)eep it and leave, or (w)ait on? [k] "


def ask() -> str | None:
    """Return ``undo``, ``keep`` or, to wait on, None. End of input means ``keep``."""
    while True:
        sys.stderr.write(_QUESTION)
        sys.stderr.flush()
        line = sys.stdin.readline()
        answer = line.strip().lower()
        if answer in ("", "k", "keep"):
            return "keep"
        if answer in ("u", "undo"):
            return "undo"
        if answer in ("w", "wait"):
            return None
