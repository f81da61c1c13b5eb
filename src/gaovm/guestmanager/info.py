"""What the agent knows of its guest."""

from __future__ import annotations

from gaovm.guestmanager import calls
from gaovm.guestmanager.connection import Connection
from gaovm.wire.agent import table
from gaovm.wire.agent.info import Info


async def get(connection: Connection) -> Info:
    """The guest's state now."""
    return await calls.call(connection, table.INFO)


async def ping(connection: Connection) -> None:
    """One plain call that does nothing."""
    await calls.call(connection, table.PING)
