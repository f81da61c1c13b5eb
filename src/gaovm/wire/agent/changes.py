"""Changes that the host has made in a share, for the watchers in the guest."""

from __future__ import annotations

from typing import Annotated

import msgspec

Kind = Annotated[str, msgspec.Meta(examples=["made", "changed", "gone", "hold"])]
#: No change: the agent holds this directory open, so that 9p's client keeps it.
HOLD = "hold"


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One path, relative to the mount point; empty is the mount point itself."""

    path: str
    kind: Kind


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """The body of ``POST /v1/changes``: at most 512 changes below one ``mount`` point."""

    mount: str
    changes: tuple[Change, ...]


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """The answer: how many changes the guest's kernel reports to its watchers.

    ``own``: those that the guest made itself, of which its watchers know. ``failed``: those that
    cannot be reported; ``error`` says why the first could not.
    """

    told: int = 0
    own: int = 0
    failed: int = 0
    error: str = ""
