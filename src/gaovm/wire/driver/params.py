"""The parameters of the daemon's calls, except those of ``vm.configure`` (``launch``)."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from gaovm.spec.guest import Copy, Probe, Script
from gaovm.spec.portrules import Rule
from gaovm.spec.ports import HostPort, Port, PortForward, Proto
from gaovm.spec.supervision import OnHang, SetUp
from gaovm.wire.driver.launch import Seconds

Text = Annotated[str, msgspec.Meta(max_length=4096)]
Level = Literal["error", "warn", "info", "debug"]


class Nothing(msgspec.Struct, frozen=True):
    """No parameters."""


NOTHING = Nothing()


class Stop(msgspec.Struct, frozen=True, kw_only=True):
    """``vm.stop``: how many seconds the driver waits for the guest, then for the hypervisor."""

    grace_s: Seconds = 30.0
    force_s: Seconds = 5.0


class Kill(msgspec.Struct, frozen=True, kw_only=True):
    """``vm.kill``: the ``reason`` of the state that follows."""

    reason: Annotated[str, msgspec.Meta(pattern="^[a-z_-]{1,32}$")]


class OpenSession(msgspec.Struct, frozen=True, kw_only=True):
    """``session.open``; ``kind`` is all that the ticket opens, None opens any."""

    ttl_s: Annotated[float, msgspec.Meta(gt=0, le=300)] = 30.0
    kind: Literal["exec", "copy", "tunnel", "ssh"] | None = None


class AddPort(msgspec.Struct, frozen=True, kw_only=True):
    """``ports.add``; ``host_port`` 0 means any free one."""

    guest_port: Port
    host_port: HostPort = 0
    host_ip: str = "127.0.0.1"
    guest_ip: str = "127.0.0.1"
    proto: Proto = "tcp"

    def forward(self) -> PortForward:
        """The forward as a spec holds it."""
        return PortForward(
            guest_port=self.guest_port,
            host_port=self.host_port,
            host_ip=self.host_ip,
            guest_ip=self.guest_ip,
            proto=self.proto,
        )


class RemovePort(msgspec.Struct, frozen=True, kw_only=True):
    """``ports.remove``: at least one of the ports; the others narrow the choice."""

    host_port: Port | None = None
    guest_port: Port | None = None
    host_ip: str | None = None
    proto: Proto | None = None


class PortRules(msgspec.Struct, frozen=True, kw_only=True):
    """``ports.rules``: the rules that decide from now on, in place of those before."""

    rules: tuple[Rule, ...] = ()


class LogLevel(msgspec.Struct, frozen=True, kw_only=True):
    """``log.level``: the new level; None only asks."""

    level: Level | None = None


class OpenDisplay(msgspec.Struct, frozen=True, kw_only=True):
    """``display.open``: the desktop to open the window on, as variables of its environment.

    Empty: the desktop of the driver's own environment, if it has one.
    """

    seat: dict[str, Text] = msgspec.field(default_factory=dict)


class GrowDisk(msgspec.Struct, frozen=True, kw_only=True):
    """``disk.grow``: the new size."""

    size_bytes: Annotated[int, msgspec.Meta(ge=1, le=1 << 46)]


class Reaction(msgspec.Struct, frozen=True, kw_only=True):
    """``watchdog.reaction``: another ``onHang`` for the running VM."""

    on_hang: OnHang


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """``guest.environment``: all variables of every later command, in place of those before."""

    env: dict[str, str]


class Names(msgspec.Struct, frozen=True, kw_only=True):
    """``guest.names``: the guest's time zone and host names, in place of those before.

    ``rules``: the zone's file in base64, as a driver cannot read it.
    """

    timezone: str = ""
    rules: str = ""
    hosts: dict[str, str] = {}


class Provision(msgspec.Struct, frozen=True, kw_only=True):
    """``guest.provision``: the scripts and probes to run, in place of those before.

    ``copies`` and ``set_up``, the time limits: None leaves those before.
    """

    provision: tuple[Script, ...] = ()
    probes: tuple[Probe, ...] = ()
    copies: tuple[Copy, ...] | None = None
    set_up: SetUp | None = None
