"""Events that the host side of a running VM sends to the driver, the same for every back end."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from gaovm import errors


class Reset(msgspec.Struct, frozen=True):
    """The guest was reset and boots again."""


class Panicked(msgspec.Struct, frozen=True):
    """The guest's kernel panicked. ``paused``: the VM stays, paused; else it ends by itself."""

    paused: bool


class WatchdogFired(msgspec.Struct, frozen=True):
    """The guest has not fed its watchdog device in time."""


class DiskFailed(msgspec.Struct, frozen=True):
    """The host could not write the disk, and therefore paused the guest."""

    no_space: bool


class Paused(msgspec.Struct, frozen=True):
    """The guest's processors and clocks have stopped."""


class Resumed(msgspec.Struct, frozen=True):
    """The guest's processors and clocks run again."""


class PortChanged(msgspec.Struct, frozen=True):
    """The guest has opened or closed the agent's port."""

    is_open: bool


class ShareLost(msgspec.Struct, frozen=True):
    """The server of a share ended; the guest cannot continue without it."""

    error: errors.GaoError


class NetworkLost(msgspec.Struct, frozen=True):
    """The guest has no network any more. Sent once, until the network is back."""

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
