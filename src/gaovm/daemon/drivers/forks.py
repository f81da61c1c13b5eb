"""Where driver processes come from: a zygote forks them, or the daemon starts each one."""

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
    """Makes driver processes and says how they ended."""

    @property
    def pid(self) -> int | None:
        """The process that makes drivers; None: there is none, or it is this one."""
        ...

    async def run(self) -> None:
        """Be ready to make drivers until cancelled; running drivers stay."""
        ...

    async def fork(self, vm: str, token: str, log: Path, control: socket.socket) -> Forked:
        """Make a driver that holds ``control``.

        Raises:
            errors.DriverStartFailed: it cannot be made. ``retriable``: another attempt may work,
                but with another ``control``, as a driver may hold this one.
        """
        ...

    async def gone(self, forked: Forked) -> int | None:
        """Wait until a driver ends; return its status, minus the signal, None if unknown."""
        ...
