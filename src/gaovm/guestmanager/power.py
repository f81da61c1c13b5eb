"""Power the guest off through its distribution's init."""

from __future__ import annotations

from gaovm.guestmanager import calls
from gaovm.guestmanager.transport.connection import Connection
from gaovm.wire.agent import table
from gaovm.wire.agent.power import Power


async def off(connection: Connection, *, limit_s: float) -> None:
    """Ask the guest to power off; return when the agent has accepted that."""
    body = Power(action="poweroff")
    await calls.call(connection, table.POWER, body, limit_s=limit_s)
