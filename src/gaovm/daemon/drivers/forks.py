"""Where driver processes come from: a zygote that forks them, or a start of each."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Protocol

import msgspec


class Forked(msgspec.Struct, frozen=True, kw_only=True):
    """A driver's process."""

    pid: int
    start_time: int


class Forks(Protocol):
    """Makes driver processes and tells how they ended."""

    @property
    def pid(self) -> int | None:
        """The process that makes them; None: there is none, or it is this one."""
        ...

    async def run(self) -> None:
        """Be ready to make drivers until cancelled; drivers that run stay."""
        ...

    async def fork(self, vm: str, token: str, log: Path, control: socket.socket) -> Forked:
        """Make a driver that holds ``control``.

        Raises:
            errors.DriverStartFailed: it cannot be made; ``retriable``: by another attempt, with
                another ``control``, as this one may have got to a driver.
        """
        ...

    async def gone(self, forked: Forked) -> int | None:
        """Return when a driver has ended: its status, minus the signal, or None if unknown."""
        ...
