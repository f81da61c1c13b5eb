"""What the agent knows about its guest."""

from __future__ import annotations

from gaovm.guestmanager import calls
from gaovm.guestmanager.transport.connection import Connection
from gaovm.wire.agent import table
from gaovm.wire.agent.info import Info


async def get(connection: Connection) -> Info:
    """Ask for the guest's state now."""
    return await calls.call(connection, table.INFO)


async def ping(connection: Connection) -> None:
    """Make a plain call that does nothing."""
    await calls.call(connection, table.PING)
