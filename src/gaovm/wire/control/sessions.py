"""``vm.session``: a ticket for bytes that do not pass through the daemon."""

from __future__ import annotations

from typing import Literal

import msgspec

from gaovm.wire.control.target import OfVm


class Open(OfVm, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``kind``: all that the ticket opens."""

    kind: Literal["exec", "copy", "tunnel", "ssh"]


class Mounted(msgspec.Struct, frozen=True, kw_only=True):
    """Where a directory of the host is in the guest."""

    location: str
    mount_point: str


class Ticket(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A ticket for one stream over the driver's ``socket``, good once and for 30 s.

    ``shared`` comes with a copy: the host's directories that guests can write. The client follows
    no symbolic link below them. ``public_keys`` comes with SSH: whether those of ``~/.ssh`` count.
    ``notices``: what happened to the VM since the last session, each told once: ports that could
    not be forwarded.
    """

    socket: str
    ticket: str
    user: str
    home: str
    mounts: tuple[Mounted, ...]
    shared: tuple[str, ...] | None = None
    public_keys: bool | None = None
    session: str | None = None
    notices: tuple[str, ...] = ()
