"""The shares that the agent mounts: check its results, and wait for those of other programs."""

from __future__ import annotations

from collections.abc import Iterable

from gaovm import errors
from gaovm.guestmanager import calls
from gaovm.guestmanager.transport.connection import CALL_LIMIT_S, Connection
from gaovm.wire.agent import table
from gaovm.wire.agent.mounts import Await, Mount, Mounted


def check(wanted: Iterable[Mount], results: Iterable[Mounted]) -> None:
    """Check that the agent has mounted every share.

    Raises:
        errors.GuestCallFailed: a mount failed; the message names it and says why.
    """
    by_path = {result.path: result for result in results}
    for mount in wanted:
        result = by_path.get(mount.path)
        if result is None or not result.ok:
            why = (result.error[:500] if result else "") or "no result from the agent"
            raise errors.GuestCallFailed(
                f"cannot mount {mount.path} in the guest ({mount.type}): {why}",
                remedy="see the guest's console; mountType selects 9p or virtiofs",
                actions=(errors.Action("show_console"),),
                details={"mount": mount.path, "type": mount.type},
            )


async def await_one(connection: Connection, share: Await) -> Mounted:
    """Wait until a program in the guest has mounted a share, or the time is over."""
    limit_s = share.timeout_s + CALL_LIMIT_S
    return await calls.call(connection, table.WAIT_MOUNT, share, limit_s=limit_s)
