"""What the daemon sends with ``vm.configure`` and the parameters of the other calls."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from gaovm import errors
from gaovm.builder.facts import HostFacts
from gaovm.spec.guest import Probe, Script
from gaovm.spec.network import HostPort, Port, PortForward
from gaovm.spec.supervision import OnHang
from gaovm.spec.vm import VmSpec

Seconds = Annotated[float, msgspec.Meta(ge=0, le=86400)]
Text = Annotated[str, msgspec.Meta(max_length=4096)]
T = TypeVar("T")


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """The image's files: ``disk`` is never written, the VM has an overlay over it."""

    disk: str
    kernel: str
    disk_format: str = "raw"
    initrd: str | None = None
    image_digest: str = ""


class StopLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How long the guest gets when the driver leaves: by its agent, then by ACPI."""

    agent_s: Seconds = 6.0
    acpi_s: Seconds = 4.0


class LaunchRequest(msgspec.Struct, frozen=True, kw_only=True):
    """All that a driver needs to know of its VM.

    ``facts`` come from the daemon, which has them at hand; without them the driver collects them,
    which costs it a mebibyte for the rest of its life. ``confine`` is false for the rehearsal of a
    driver only, whose QEMU is a script. ``host_ports``: for each forward of the spec that takes any
    host port, the one it had at the last start; 0 where there is none. ``cache``: the directory
    whose images those of ``home`` are hard links to; hidden below shares, as ``home`` is.
    """

    spec: VmSpec
    home: str
    cache: str = ""
    vm_dir: str
    run_dir: str
    artefacts: Image
    facts: HostFacts | None = None
    provision: bool = True
    confine: bool = True
    host_ports: tuple[HostPort, ...] = ()
    stop: StopLimits = StopLimits()

    @property
    def disk(self) -> Path:
        """The VM's own disk."""
        return Path(self.vm_dir, "disk.qcow2")

    @property
    def vnc_socket(self) -> Path:
        """Where the driver takes viewers of the display, if the VM has one."""
        return Path(self.run_dir, "vnc.sock")


class Stop(msgspec.Struct, frozen=True, kw_only=True):
    """``vm.stop``: seconds for the guest to end itself, then for QEMU to be killed."""

    grace_s: Seconds = 30.0
    force_s: Seconds = 5.0


class Kill(msgspec.Struct, frozen=True, kw_only=True):
    """``vm.kill``: the ``reason`` of the state that follows."""

    reason: Annotated[str, msgspec.Meta(pattern="^[a-z-]{1,32}$")]


class OpenSession(msgspec.Struct, frozen=True, kw_only=True):
    """``session.open``; ``kind``: all that the ticket opens."""

    ttl_s: Annotated[float, msgspec.Meta(gt=0, le=300)] = 30.0
    kind: Literal["exec", "copy", "tunnel"] | None = None


class AddPort(msgspec.Struct, frozen=True, kw_only=True):
    """``ports.add``."""

    guest_port: Port
    host_port: HostPort = 0
    host_ip: str = "127.0.0.1"
    guest_ip: str = "127.0.0.1"

    def forward(self) -> PortForward:
        """As the spec has it."""
        return PortForward(
            guest_port=self.guest_port,
            host_port=self.host_port,
            host_ip=self.host_ip,
            guest_ip=self.guest_ip,
        )


class RemovePort(msgspec.Struct, frozen=True, kw_only=True):
    """``ports.remove``: at least one of the ports; ``host_ip`` narrows it down."""

    host_port: Port | None = None
    guest_port: Port | None = None
    host_ip: str | None = None


class LogLevel(msgspec.Struct, frozen=True, kw_only=True):
    """``log.level``: none only asks."""

    level: Literal["error", "warn", "info", "debug"] | None = None


class OpenDisplay(msgspec.Struct, frozen=True, kw_only=True):
    """``display.open``: the desktop to open the window on, as variables of its environment.

    Empty: the desktop of the driver's own environment, if it has one.
    """

    seat: dict[str, Text] = msgspec.field(default_factory=dict)


class GrowDisk(msgspec.Struct, frozen=True, kw_only=True):
    """``disk.grow``."""

    size_bytes: Annotated[int, msgspec.Meta(ge=1, le=1 << 46)]


class Reaction(msgspec.Struct, frozen=True, kw_only=True):
    """``watchdog.reaction``."""

    on_hang: OnHang


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """``guest.environment``: all variables, in place of those before."""

    env: dict[str, str]


class Provision(msgspec.Struct, frozen=True, kw_only=True):
    """``guest.provision``: what to run, in place of what was run before."""

    provision: tuple[Script, ...] = ()
    probes: tuple[Probe, ...] = ()


def decode(params: Any, into: type[T]) -> T:
    """The parameters of a call.

    Raises:
        errors.InvalidParams: they do not fit; the message has the path.
    """
    try:
        return msgspec.convert({} if params is None else params, into)
    except msgspec.ValidationError as exc:
        raise errors.InvalidParams(str(exc)) from exc
