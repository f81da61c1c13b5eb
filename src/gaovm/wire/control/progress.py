"""The notification ``progress``, which comes before the result of a call that takes long."""

from __future__ import annotations

import msgspec


class Progress(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How far a call is: what happens now, and how much of a download or a build is done.

    ``rate_bytes_s``: bytes per second; ``eta_s``: seconds that remain. Unknown values are not
    sent.
    """

    phase: str
    message: str
    percent: float | None = None
    done_bytes: int | None = None
    total_bytes: int | None = None
    rate_bytes_s: float | None = None
    eta_s: float | None = None
