"""What the host side of a running VM tells the driver, in words that every back end has."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from gaovm import errors


class Reset(NamedTuple):
    """The guest was reset and boots again."""


class Panicked(NamedTuple):
    """The guest's kernel panicked. ``paused``: the VM stays as it is; else it ends by itself."""

    paused: bool


class WatchdogFired(NamedTuple):
    """The guest has not fed its watchdog device in time."""


class DiskFailed(NamedTuple):
    """The disk could not be written on the host, and the guest is paused for that."""

    no_space: bool


class Paused(NamedTuple):
    """The guest's processors and clocks stand still."""


class Resumed(NamedTuple):
    """They go on."""


class PortChanged(NamedTuple):
    """The guest has opened or closed the agent's port."""

    is_open: bool


class ShareLost(NamedTuple):
    """The server of a share ended; the guest cannot go on without it."""

    error: errors.GaoError


class NetworkLost(NamedTuple):
    """The guest has no way out any more. Told once, until it is back."""

    error: errors.GaoError


class NetworkBack(NamedTuple):
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
