"""``vm.display.*``: the window of a VM, and a picture of its screen."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from gaovm.wire.control.bounds import Name, Text
from gaovm.wire.control.target import OfVm


class Open(OfVm, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``seat``: the caller's desktop, as variables of its environment.

    Empty: the desktop in the environment that the driver inherited from the daemon.
    """

    seat: Annotated[dict[Name, Text], msgspec.Meta(max_length=64)] = msgspec.field(
        default_factory=dict
    )


class DisplayStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The display and its window; the size is the guest's, in pixels, as last seen.

    ``opened_count``: how often the window was opened since the VM started.
    """

    name: str
    enabled: bool
    open: bool
    width: int
    height: int
    opened_count: int
    window_pid: int | None


class Screenshot(msgspec.Struct, frozen=True, kw_only=True):
    """A picture that the driver wrote to ``path``; it stays until the next one.

    ``shared``: the host's directories that guests can write. The caller follows no symbolic link
    below them.
    """

    name: str
    path: str
    format: Literal["png"]
    width: int
    height: int
    size_bytes: int
    shared: tuple[str, ...]
