"""What a machine needs from its driver: the process that runs the VM.

``drivers.driver_link.Link`` implements it over a socket, ``testing.fake_driver`` in memory.
"""

from __future__ import annotations

from typing import Protocol, TypeVar

import msgspec

from gaovm.wire import anyjson
from gaovm.wire.method import Method

P = TypeVar("P", bound=msgspec.Struct)
R = TypeVar("R", bound=msgspec.Struct)

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

    async def call(self, row: Method[P, R], params: P, *, timeout_s: float = 5.0) -> R:
        """Call a method of ``gaovm.driver.v1``; the result has the type of its row."""
        ...

    async def relay(
        self, method: str, params: anyjson.Object, *, timeout_s: float = 5.0
    ) -> anyjson.Object:
        """Call a method by its name, with JSON data that nobody looked at."""
        ...

    async def gone(self) -> Ended:
        """Return when the process has ended."""
        ...

    async def leave(self, limit_s: float) -> Ended:
        """Ask the driver to leave; kill it after the limit. Returns when it is gone."""
        ...
