"""What a driver reports without a request, as it happens.

The daemon ignores notifications, and fields of them, that only newer drivers send.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

import msgspec

from gaovm import errors
from gaovm.model.states import Observed, Readiness
from gaovm.wire import anyjson, convert
from gaovm.wire.driver.results import Boot

Kind = Annotated[
    str,
    msgspec.Meta(
        examples=[
            "watchdog",
            "panic",
            "unresponsive",
            "responsive",
            "network_lost",
            "network_back",
            "paused",
            "resumed",
        ]
    ),
]


class State(msgspec.Struct, frozen=True, kw_only=True):
    """``state``: the VM's state has changed, ``at`` seconds since 1970, for this ``reason``."""

    observed: Observed
    readiness: Readiness | None = None
    at: float | str | None = None
    boot: Boot | None = None
    reason: str | None = None
    error: anyjson.Object | None = None

    def failure(self) -> errors.GaoError | None:
        """The error as a member of the tree: either wire form, or ``{code, message, …}``."""
        if self.error is None:
            return None
        data = dict(self.error)
        if not isinstance(data.get("data"), dict):
            data["data"] = {key: value for key, value in data.items() if key != "message"}
        return errors.from_wire(data)


class Hypervisor(msgspec.Struct, frozen=True, kw_only=True):
    """``hypervisor``: the hypervisor has exited; the ``state`` that says what it means follows.

    ``status``: its exit code, or minus the signal. ``at``: seconds of the monotonic clock.
    """

    pid: int | None = None
    status: int | None = None
    at: float | None = None


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """``health``: what happened to the guest; the daemon's policy decides what follows."""

    kind: Kind
    at: float = 0.0
    detail: str = ""


class Display(msgspec.Struct, frozen=True, kw_only=True):
    """``display``: the window has opened, in this size, or closed, for this ``reason``."""

    open: bool
    reason: str | None = None
    width: int = 0
    height: int = 0


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """``progress``: what the driver does, while it starts the VM and provisions the guest."""

    phase: str = ""
    message: str = ""


Notification: TypeAlias = State | Hypervisor | Health | Display | Progress

#: Every notification by its name.
BY_NAME: dict[str, type[Notification]] = {
    "state": State,
    "hypervisor": Hypervisor,
    "health": Health,
    "display": Display,
    "progress": Progress,
}
NAMES: dict[type[Notification], str] = {kind: name for name, kind in BY_NAME.items()}


def decode(name: str, data: Any) -> Notification | None:
    """What a driver says; None for a notification that only newer drivers send.

    Raises:
        errors.InvalidParams: it does not fit; the message has the path.
    """
    kind = BY_NAME.get(name)
    return None if kind is None else convert.params(data, kind)
