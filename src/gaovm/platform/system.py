"""Which half of this package serves: Linux's own half, or the portable one.

``GAOVM_PLATFORM=portable`` chooses the portable half on Linux, so that tests run what macOS runs.
"""

from __future__ import annotations

import os
import platform
import sys
from typing import Final

VARIABLE = "GAOVM_PLATFORM"
PORTABLE = "portable"

#: Whether Linux's own half serves this process.
LINUX: Final = sys.platform == "linux" and os.environ.get(VARIABLE) != PORTABLE


def name() -> str:
    """Name the system: ``Linux``, ``Darwin``. The forced portable half changes nothing in it."""
    return platform.system()  # noqa: TID251  (everybody else asks here)


def describe() -> str:
    """Name the system for people: ``Linux``, ``Darwin``, or why neither word is enough."""
    found = name()
    if found == "Linux" and not LINUX:
        return f"Linux, with the portable half forced ({VARIABLE}={PORTABLE})"
    return found
