"""The guest as a whole: its configuration after each boot, and the wait for its distribution."""

from __future__ import annotations

import base64

from gaovm import errors
from gaovm.guestmanager import calls
from gaovm.guestmanager.connection import CALL_LIMIT_S, Connection
from gaovm.wire.agent import table
from gaovm.wire.agent.guest import Boot, Configuration, Configured, Network, Wait

CONFIGURE_LIMIT_S = 120.0


def check_watchdog(done: Configured) -> None:
    """Raises:
    errors.GuestCallFailed: a watchdog was asked for and is not fed: it would never fire.
    """
    state = done.watchdog
    if state is None or not state.fed:
        why = "its agent knows none" if state is None else state.error[:200] or "no reason given"
        raise errors.GuestCallFailed(
            f"the guest does not feed its watchdog: {why}",
            field="vmOpts.gaovm.watchdog.device",
            remedy="leave device out, or use an image whose kernel has the driver i6300esb",
        )


def entropy(data: bytes) -> str:
    """Random bytes in the form of ``Configuration.entropy``."""
    return base64.b64encode(data).decode()


async def configure(connection: Connection, configuration: Configuration) -> Configured:
    """Apply a configuration; idempotent. A mount that fails is in the result, not an error.

    Raises:
        errors.GuestCallFailed: the agent refused it, as a user that is one of the system's.
    """
    limit_s = CONFIGURE_LIMIT_S
    try:
        return await calls.call(connection, table.CONFIGURE, configuration, limit_s=limit_s)
    except errors.GuestCallFailed as exc:
        user = configuration.user
        if exc.details.get("agent_code") == "conflict" and user is not None:
            exc.message = (
                f"the user {user.name} (uid {user.uid}) cannot be made: a system account of the "
                "guest has this name or uid"
            )
            exc.field = "user"
            exc.remedy = "set user.name and user.uid in the project file, then bring it up again"
            exc.actions = (errors.Action("start_vm"),)
        raise


async def wait_booted(connection: Connection, limit_s: float) -> Boot:
    """Wait until the distribution has booted, or ``limit_s`` have passed."""
    body = Wait(timeout_s=int(limit_s))
    return await calls.call(connection, table.WAIT_BOOTED, body, limit_s=limit_s + CALL_LIMIT_S)


async def wait_online(connection: Connection, limit_s: float) -> Network:
    """Wait until the network that the kernel command line asks for is set up, or cannot be."""
    return await calls.call(
        connection,
        table.WAIT_ONLINE,
        Wait(timeout_s=int(limit_s)),
        limit_s=limit_s + CALL_LIMIT_S,
    )
