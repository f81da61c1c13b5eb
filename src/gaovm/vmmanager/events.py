"""What the host side of a running VM tells the driver, in words that every back end has."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from gaovm import errors


class Reset(msgspec.Struct, frozen=True):
    """The guest was reset and boots again."""


class Panicked(msgspec.Struct, frozen=True):
    """The guest's kernel panicked. ``paused``: the VM stays as it is; else it ends by itself."""

    paused: bool


class WatchdogFired(msgspec.Struct, frozen=True):
    """The guest has not fed its watchdog device in time."""


class DiskFailed(msgspec.Struct, frozen=True):
    """The disk could not be written on the host, and the guest is paused for that."""

    no_space: bool


class Paused(msgspec.Struct, frozen=True):
    """The guest's processors and clocks stand still."""


class Resumed(msgspec.Struct, frozen=True):
    """They go on."""


class PortChanged(msgspec.Struct, frozen=True):
    """The guest has opened or closed the agent's port."""

    is_open: bool


class ShareLost(msgspec.Struct, frozen=True):
    """The server of a share ended; the guest cannot go on without it."""

    error: errors.GaoError


class NetworkLost(msgspec.Struct, frozen=True):
    """The guest has no way out any more. Told once, until it is back."""

    error: errors.GaoError


class NetworkBack(msgspec.Struct, frozen=True):
    """The guest has its network again."""


Event = (
    Reset
    | Panicked
    | WatchdogFired
    | DiskFailed
    | Paused
    | Resumed
    | PortChanged
    | ShareLost
    | NetworkLost
    | NetworkBack
)
OnEvent = Callable[[Event], None]
