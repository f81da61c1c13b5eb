"""What a machine needs of its driver: the process that runs the VM.

``drivers.driver_link.Link`` implements it over a socket, ``testing.fake_driver`` in memory.
"""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

#: How long a driver may take to leave once its VM is gone, before it is killed.
LEAVE_S = 10.0


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How a driver process ended: its wait status as exit code or minus signal, None if unknown."""

    pid: int
    exit_code: int | None


class Driver(Protocol):
    """A running driver process."""

    pid: int

    def alive(self) -> bool:
        """Whether the process runs, as far as the kernel says now."""
        ...

    async def call(
        self, method: str, params: dict[str, Any] | None = None, *, timeout_s: float = 5.0
    ) -> dict[str, Any]:
        """Call a method of the driver protocol."""
        ...

    async def gone(self) -> Ended:
        """Return when the process has ended."""
        ...

    async def leave(self, limit_s: float) -> Ended:
        """Ask the driver to leave; kill it after the limit. Returns when it is gone."""
        ...
