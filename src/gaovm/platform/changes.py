"""What changes below a directory; ``trees`` reports it."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """What happened to a name."""

    MADE = "made"
    CHANGED = "changed"  # its content or its attributes
    GONE = "gone"


class Change(NamedTuple):
    """A path below the root, without a ``/`` at its begin; the root itself is empty."""

    path: str
    kind: Kind


class Taken(NamedTuple):
    """Changes, each path once. ``lost``: there were more than the kernel could keep."""

    changes: tuple[Change, ...]
    lost: bool = False
