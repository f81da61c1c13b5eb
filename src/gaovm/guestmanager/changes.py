"""Tell the guest's watchers what the host has changed in a share."""

from __future__ import annotations

from collections.abc import Sequence

from gaovm.guestmanager import calls
from gaovm.guestmanager.transport.connection import Connection
from gaovm.wire.agent import table
from gaovm.wire.agent.changes import Change, Changes, Told

#: The most changes that one call takes.
MAX_CHANGES = 512
CALL_LIMIT_S = 30.0


async def tell(connection: Connection, mount: str, changes: Sequence[Change]) -> Told:
    """Report changes below a mount point, at most ``MAX_CHANGES``.

    Raises:
        errors.GuestCallFailed: the agent is too old for this call, or knows no such mount.
        errors.GuestUnavailable, errors.GuestProtocolError: the agent gave no valid answer.
    """
    body = Changes(mount=mount, changes=tuple(changes))
    return await calls.call(connection, table.CHANGES, body, limit_s=CALL_LIMIT_S)
