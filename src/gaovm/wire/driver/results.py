"""The results of the methods that the daemon calls.

A driver may be older or newer than the daemon: a field that older drivers may lack has a default,
and a list of words is open: it shows what drivers send now.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from gaovm.model.states import Observed, Readiness

#: Milliseconds from the exec of the hypervisor.
Milliseconds = float
AcceleratorName = Annotated[str, msgspec.Meta(examples=["kvm", "hvf", "tcg"])]
NetworkType = Annotated[str, msgspec.Meta(examples=["passt", "slirp"])]
ShareType = Annotated[str, msgspec.Meta(examples=["9p", "virtiofs"])]
PortSource = Annotated[str, msgspec.Meta(examples=["config", "added"])]
PortState = Annotated[
    str, msgspec.Meta(examples=["forwarded", "listening", "no_listener", "taken", "refused"])
]
PortProto = Annotated[str, msgspec.Meta(examples=["tcp", "udp"])]
How = Annotated[str, msgspec.Meta(examples=["agent", "acpi", "force", "gone"])]
LevelName = Annotated[str, msgspec.Meta(examples=["error", "warn", "info", "debug"])]


class Done(msgspec.Struct, frozen=True):
    """The call had its effect; there is nothing to say about it."""


class Pong(msgspec.Struct, frozen=True, kw_only=True):
    """The driver answers. ``ts``: its clock, in seconds since 1970."""

    ok: bool = True
    ts: float = 0.0


class Accelerator(msgspec.Struct, frozen=True, kw_only=True):
    """What runs the guest's instructions, and the reason."""

    name: AcceleratorName
    reason: str = ""


class Guard(msgspec.Struct, frozen=True, kw_only=True):
    """The confinement of a mount's server: its user id and the measures in force."""

    uid: int | None = None
    in_force: tuple[str, ...] = ()


class Mount(msgspec.Struct, frozen=True, kw_only=True):
    """A directory of the host in the guest; ``reason`` says why this ``type`` carries it."""

    location: str
    mount_point: str
    type: ShareType | None = None
    reason: str = ""
    writable: bool = False
    guard: Guard | None = None


class Port(msgspec.Struct, frozen=True, kw_only=True):
    """A forward, or a rule for one port that has none now.

    ``follows``: it is open while a server listens in the guest. Its ``state`` is then ``listening``
    or ``no_listener``; or ``taken`` or ``refused``, when a server listens and the host port could
    not be opened: ``problem`` says why. ``host_socket`` and ``guest_socket`` stand in place of a
    port, which is 0 then. ``lost_host_port``: the host port of the last start, if somebody else
    has it now. ``reverse``: it leads from the guest to the host.
    """

    guest_port: int
    host_port: int
    guest_ip: str = "127.0.0.1"
    host_ip: str = "127.0.0.1"
    source: PortSource = "config"
    state: PortState = "forwarded"
    lost_host_port: int | None = None
    proto: PortProto = "tcp"
    host_socket: str = ""
    guest_socket: str = ""
    follows: bool = False
    reverse: bool = False
    problem: str | None = None


class Network(msgspec.Struct, frozen=True, kw_only=True):
    """What carries the guest's network; ``problem`` says what is wrong with it now."""

    type: NetworkType | None = None
    reason: str = ""
    problem: str | None = None


class Confinement(msgspec.Struct, frozen=True, kw_only=True):
    """The cage around the hypervisor: measures in force, measures missing and why, its user id."""

    in_force: tuple[str, ...] = ()
    missing: dict[str, str] = msgspec.field(default_factory=dict)
    uid: int | None = None


class Boot(msgspec.Struct, frozen=True, kw_only=True):
    """How long the last boot took, until the agent answered and until all was ready."""

    agent_ms: Milliseconds | None = None
    ready_ms: Milliseconds | None = None


class Choices(msgspec.Struct, frozen=True, kw_only=True):
    """``vm.configure``: what the driver chose, and what is in force; null: nothing yet.

    ``ports_problem``: what keeps some of the guest's servers from being forwarded at all.
    """

    machine: str = ""
    accelerator: Accelerator | None = None
    mounts: tuple[Mount, ...] = ()
    ports: tuple[Port, ...] = ()
    network: Network | None = None
    confinement: Confinement | None = None
    ports_problem: str | None = None


class VmStatus(Choices, frozen=True, kw_only=True):
    """``vm.status``."""

    observed: Observed | None = None
    readiness: Readiness | None = None
    paused: bool = False
    hypervisor_pid: int | None = None
    boot: Boot | None = None


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """``vm.start``: the hypervisor runs. ``exec_at``: seconds of the monotonic clock."""

    hypervisor_pid: int | None = None
    argv: tuple[str, ...] = ()
    exec_at: float | None = None


class Stopped(msgspec.Struct, frozen=True, kw_only=True):
    """``vm.stop``: everything is released. ``how``: the way that ended the guest."""

    how: How = ""


class Paused(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the guest is paused now."""

    paused: bool = False


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """``session.open``: a ticket for the driver's ``socket``."""

    ticket: str
    socket: str = ""


class Ports(msgspec.Struct, frozen=True, kw_only=True):
    """``ports.list``: all forwards; those that are always open first, as the driver bound them."""

    ports: tuple[Port, ...] = ()


class RemovedPorts(msgspec.Struct, frozen=True, kw_only=True):
    """``ports.remove``: the removed forwards; their connections live on."""

    removed: tuple[Port, ...] = ()


class Grown(msgspec.Struct, frozen=True, kw_only=True):
    """``disk.grow``: the disk has grown. ``problem``: why its file system waits for a boot."""

    problem: str | None = None


class LogLevel(msgspec.Struct, frozen=True, kw_only=True):
    """``log.level``: the level of the driver and the agent now."""

    level: LevelName = "info"


class Display(msgspec.Struct, frozen=True, kw_only=True):
    """The display and its window.

    The size is the guest's, in pixels, as last seen. ``opened_count`` counts since the VM started.
    """

    enabled: bool = False
    open: bool = False
    width: int = 0
    height: int = 0
    opened_count: int = 0
    window_pid: int | None = None


class Screenshot(msgspec.Struct, frozen=True, kw_only=True):
    """``display.screenshot``: a picture that the driver wrote to ``path``."""

    path: str = ""
    format: str = "png"
    width: int = 0
    height: int = 0
    size_bytes: int = 0
