"""The guest as a whole: configure it after each boot, and wait for its distribution."""

from __future__ import annotations

import base64

from gaovm import errors
from gaovm.guestmanager import calls
from gaovm.guestmanager.transport.connection import CALL_LIMIT_S, Connection
from gaovm.spec import guest as spec
from gaovm.wire.agent import table
from gaovm.wire.agent.guest import (
    Boot,
    Configuration,
    Configured,
    Network,
    Trust,
    Trusted,
    Wait,
    Zone,
)

CONFIGURE_LIMIT_S = 120.0
#: The distribution's program reads every certificate again; an emulated machine takes its time.
TRUST_LIMIT_S = 180.0


def check_watchdog(done: Configured) -> None:
    """Check that the agent feeds the watchdog: one that nobody feeds would never fire.

    Raises:
        errors.GuestCallFailed: the agent does not feed it.
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
    """Encode random bytes for ``Configuration.entropy``."""
    return base64.b64encode(data).decode()


async def configure(connection: Connection, configuration: Configuration) -> Configured:
    """Apply a configuration. Idempotent. The result reports mounts that fail; they are no error.

    Raises:
        errors.GuestCallFailed: the agent refused it, for example a user with a system uid.
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


def zone(name: str, rules: bytes | None) -> Zone | None:
    """Return a time zone as the agent takes it; None for no name."""
    return Zone(name=name, rules=base64.b64encode(rules or b"").decode()) if name else None


async def trust(connection: Connection, wanted: spec.Trust) -> Trusted:
    """Make the guest trust certificates, in place of those of the last call. Idempotent.

    Raises:
        errors.GuestCallFailed: it could not be done; the message says why.
    """
    body = Trust(certificates=wanted.certificates, remove_defaults=wanted.remove_defaults)
    try:
        return await calls.call(connection, table.TRUST, body, limit_s=TRUST_LIMIT_S)
    except errors.GuestCallFailed as exc:
        exc.field = "caCerts"
        raise


async def wait_booted(connection: Connection, limit_s: float) -> Boot:
    """Wait until the distribution has booted, or ``limit_s`` seconds have passed."""
    body = Wait(timeout_s=int(limit_s))
    return await calls.call(connection, table.WAIT_BOOTED, body, limit_s=limit_s + CALL_LIMIT_S)


async def wait_manager(connection: Connection, limit_s: float) -> None:
    """Wait until the guest's service manager takes requests, or ``limit_s`` seconds have passed."""
    body = Wait(timeout_s=int(limit_s), until="manager")
    await calls.call(connection, table.WAIT_BOOTED, body, limit_s=limit_s + CALL_LIMIT_S)


async def wait_online(connection: Connection, limit_s: float) -> Network:
    """Wait until the agent has set up the network of the kernel command line, or has failed to."""
    return await calls.call(
        connection,
        table.WAIT_ONLINE,
        Wait(timeout_s=int(limit_s)),
        limit_s=limit_s + CALL_LIMIT_S,
    )
