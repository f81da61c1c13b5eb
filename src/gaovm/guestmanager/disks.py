"""The guest's file systems on its disks."""

from __future__ import annotations

from gaovm.guestmanager import calls
from gaovm.guestmanager.connection import Connection
from gaovm.wire.agent import table
from gaovm.wire.agent.disks import Grow

#: The kernel writes a few blocks for each 128 MiB that are new.
GROW_LIMIT_S = 40.0


async def grow(connection: Connection, size_bytes: int) -> int:
    """Make the root file system as large as its disk, which has ``size_bytes``; returns its size.

    Raises:
        errors.GuestCallFailed: the agent refused or failed.
        errors.GuestUnavailable: no answer.
    """
    body = Grow(size_bytes=size_bytes)
    grown = await calls.call(connection, table.GROW_DISK, body, limit_s=GROW_LIMIT_S)
    return grown.total_bytes
