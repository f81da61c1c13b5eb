"""The guest's file systems on its disks."""

from __future__ import annotations

from gaovm.guestmanager import calls
from gaovm.guestmanager.connection import Connection
from gaovm.wire.agent import table
from gaovm.wire.agent.disks import Grow

#: Seconds; the kernel writes a few blocks for each new 128 MiB.
GROW_LIMIT_S = 40.0


async def grow(connection: Connection, size_bytes: int) -> int:
    """Grow the root file system to its disk of ``size_bytes``; return its new size in bytes.

    Raises:
        errors.GuestCallFailed: the agent refused or failed.
        errors.GuestUnavailable: the agent did not answer in time.
    """
    body = Grow(size_bytes=size_bytes)
    grown = await calls.call(connection, table.GROW_DISK, body, limit_s=GROW_LIMIT_S)
    return grown.total_bytes
