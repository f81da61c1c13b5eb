"""The guest as a whole: its configuration after each boot, and the wait for its distribution."""

from __future__ import annotations

import base64

import msgspec

from gaovm import errors
from gaovm.guestmanager import calls, mounts, users
from gaovm.guestmanager.connection import CALL_LIMIT_S, Connection

CONFIGURE_LIMIT_S = 120.0


class Configuration(msgspec.Struct, omit_defaults=True, kw_only=True):
    """The body of ``PUT /v1/configure``; ``entropy`` is base64, None leaves as it is.

    ``hosts``: names for the guest's ``/etc/hosts``, in place of those of the last time.
    """

    hostname: str | None = None
    unix_ns: int | None = None
    user: users.Account | None = None
    hosts: dict[str, str] | None = None
    mounts: list[mounts.Mount] = []
    env: dict[str, str] | None = None
    entropy: str | None = None
    watchdog: bool = False


class WatchdogState(msgspec.Struct):
    """Whether the agent feeds the watchdog device, and if not, why."""

    fed: bool = False
    error: str = ""


class Configured(msgspec.Struct):
    """Its result."""

    mounts: list[mounts.Mounted] = []
    watchdog: WatchdogState | None = None


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


class Boot(msgspec.Struct):
    """How the distribution's boot went.

    ``running``; ``degraded``, with the ``failed`` units or a ``detail``; ``timeout``; ``none``: the
    guest has no init whose boot has an end.
    """

    state: str = "none"
    detail: str = ""
    failed: list[str] = []


class Network(msgspec.Struct):
    """``up``, ``failed`` (``detail``: why) or ``timeout``."""

    state: str = "failed"
    detail: str = ""


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
        return await calls.call(
            connection, "PUT", "/v1/configure", Configured, configuration, limit_s=limit_s
        )
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
    body = {"timeout_s": int(limit_s)}
    return await calls.call(
        connection, "POST", "/v1/boot/wait", Boot, body, limit_s=limit_s + CALL_LIMIT_S
    )


async def wait_online(connection: Connection, limit_s: float) -> Network:
    """Wait until the network that the kernel command line asks for is set up, or cannot be."""
    return await calls.call(
        connection,
        "POST",
        "/v1/network/wait",
        Network,
        {"timeout_s": int(limit_s)},
        limit_s=limit_s + CALL_LIMIT_S,
    )
