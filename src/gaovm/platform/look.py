"""The result of a look at a process."""

from __future__ import annotations

from typing import NamedTuple


class Look(NamedTuple):
    """A process as it was a moment ago.

    ``state``: one letter as ``ps`` shows it; ``Z``: it has ended and is not reaped.
    ``start_time``: on the clock of the half that serves.
    ``wait_status``: how it ended, for ``Z``; None: only its parent knows.
    """

    state: str
    start_time: int
    wait_status: int | None
