"""The guest as a whole: its configuration after each boot, and the wait for its distribution."""

from __future__ import annotations

from typing import Annotated

import msgspec

from gaovm.wire.agent import mounts, users

BootState = Annotated[str, msgspec.Meta(examples=["running", "degraded", "timeout", "none"])]
Until = Annotated[str, msgspec.Meta(examples=["booted", "manager"])]
NetworkState = Annotated[str, msgspec.Meta(examples=["up", "failed", "timeout"])]


class Zone(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A time zone by name; ``rules``: its file (TZif, base64), for a guest without the database."""

    name: str
    rules: str = ""


class Configuration(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The body of ``PUT /v1/configure``. None leaves a part as it is; ``env`` replaces all.

    ``unix_ns`` sets the clock. ``hosts``: names for the guest's ``/etc/hosts``, in place of those
    of the last call. ``entropy`` is base64. ``watchdog``: answer whether the device is fed.
    """

    hostname: str | None = None
    unix_ns: int | None = None
    user: users.Account | None = None
    hosts: dict[str, str] | None = None
    mounts: tuple[mounts.Mount, ...] = ()
    env: dict[str, str] | None = None
    timezone: Zone | None = None
    entropy: str | None = None
    watchdog: bool = False


class WatchdogState(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the agent feeds the watchdog device, and if not, why."""

    fed: bool = False
    error: str = ""


class Configured(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of ``PUT /v1/configure``. ``timezone``: why the zone could not be set."""

    mounts: tuple[mounts.Mounted, ...] = ()
    user: users.Made | None = None
    watchdog: WatchdogState | None = None
    timezone: str = ""


class Trust(msgspec.Struct, frozen=True, kw_only=True):
    """The body of ``PUT /v1/trust``: certificates in PEM, one each."""

    certificates: tuple[str, ...] = ()
    remove_defaults: bool = False


class Trusted(msgspec.Struct, frozen=True, kw_only=True):
    """Its answer: whether anything had to be done, and the program or file that did it."""

    changed: bool = False
    how: str = ""


class Wait(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The body of ``POST /v1/boot/wait`` and ``POST /v1/network/wait``.

    ``until`` is for the first alone: ``manager``, until the service manager takes requests.
    """

    timeout_s: int
    until: Until = "booted"


class Boot(msgspec.Struct, frozen=True, kw_only=True):
    """How the distribution's boot went.

    ``running``; ``degraded``, with the ``failed`` units or a ``detail``; ``timeout``; ``none``: the
    guest has no init whose boot has an end.
    """

    state: BootState = "none"
    detail: str = ""
    failed: tuple[str, ...] = ()


class Network(msgspec.Struct, frozen=True, kw_only=True):
    """``up``, ``failed`` (``detail``: why) or ``timeout``."""

    state: NetworkState = "failed"
    detail: str = ""
