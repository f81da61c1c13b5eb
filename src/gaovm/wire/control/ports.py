"""``vm.ports.*``: forwards of a VM, from its config and added by hand."""

from __future__ import annotations

from typing import Literal

import msgspec

from gaovm.spec.ports import Proto
from gaovm.wire.control.bounds import HostPort, Port, Text
from gaovm.wire.control.target import OfVm


class Add(OfVm, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``host_port`` 0 or null: the daemon takes any free one."""

    guest_port: Port
    host_port: HostPort | None = None
    host_ip: Text | None = None
    guest_ip: Text | None = None
    proto: Proto = "tcp"


class Remove(OfVm, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """At least one of the two ports; both narrow the choice."""

    host_port: Port | None = None
    guest_port: Port | None = None


class PortStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One forward.

    ``state``: ``forwarded`` while the VM runs, else ``stopped``. ``vm.ports.list`` asks the guest,
    for a second at most, and says ``listening`` when a server there accepts connections,
    ``no_listener`` when none does. ``host_port`` of a stopped one: what the next start tries first.

    ``follows``: the host port is open while a server listens in the guest (``listening``), and
    closed while none does (``no_listener``). When a server listens and the host port cannot be
    opened, it is ``taken`` or ``refused``, and ``problem`` says why. ``host_socket`` and
    ``guest_socket`` are Unix sockets in place of a port, which is 0 then. ``reverse``: it leads
    from the guest to the host.
    """

    guest_ip: str
    guest_port: int
    host_ip: str
    host_port: int
    source: Literal["config", "added"]
    state: Literal["listening", "no_listener", "forwarded", "stopped", "taken", "refused"]
    proto: Proto = "tcp"
    host_socket: str = ""
    guest_socket: str = ""
    follows: bool = False
    reverse: bool = False
    problem: str | None = None


class PortList(msgspec.Struct, frozen=True, kw_only=True):
    """The forwards of a VM: those that are always open, the config's first; then all others.

    ``problem``: what keeps some of the guest's servers from being forwarded at all.
    """

    ports: tuple[PortStatus, ...]
    problem: str | None = None


class Removed(msgspec.Struct, frozen=True, kw_only=True):
    """The forwards that the call removed."""

    removed: tuple[PortStatus, ...]
