"""The parameters of every method of ``gaovm.control.v1``: strict, bounded, decoded before use."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

import msgspec

from gaovm import errors

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=76)]
Home = Annotated[str, msgspec.Meta(max_length=512)]
Text = Annotated[str, msgspec.Meta(max_length=4096)]
ConfigText = Annotated[str, msgspec.Meta(max_length=1 << 20)]
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
HostPort = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Id = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 2)]
Changes = Annotated[dict[Text, Any], msgspec.Meta(max_length=200)]
Wait = Literal["none", "agent", "ready"]

Struct = TypeVar("Struct", bound=msgspec.Struct)


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No parameters."""


class Caller(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The user on whose behalf a VM is made; ``home`` is the daemon's own when not given."""

    name: Name
    uid: Id
    gid: Id
    comment: Text = ""
    home: Home | None = None


class Up(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``vm.up``. ``env_name`` is the caller's ``VM_NAME``.

    ``approve``: the digest of an ``approval_needed``, by which a person lets the file have that.
    """

    project_dir: Text
    config_path: Text
    config_text: ConfigText
    user: Caller
    name: Text | None = None
    env_name: Text | None = None
    wait: Wait = "ready"
    approve: Text | None = None


class Placed(Up, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An ``up`` whose directory was looked up; ``usual_name``: its VM's where nobody names it."""

    usual_name: str


class OfVm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every method about one VM takes.

    ``of_project``: nobody gave a name; the VM of this project's directory is meant, and ``name`` is
    only what it would usually be called. Nothing is done to another's.
    """

    name: Text
    of_project: Text | None = None


class List(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``vm.list``; ``of_project``: also say which VMs are of this directory."""

    of_project: Text | None = None


class Adopt(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``vm.adopt``; without a name only tell which VMs have lost their directories.

    ``force``: also a VM whose directory is where it was.
    """

    project_dir: Text
    name: Text | None = None
    force: bool = False


class Named(OfVm, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A method that needs a VM's name only."""


class Start(OfVm, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``vm.start``."""

    wait: Wait = "ready"


class ConfigSet(OfVm, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``vm.config.set``: words to values, null takes one away; ``discard`` first drops all."""

    changes: Changes = {}
    discard: bool = False


class ConfigDiff(OfVm, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``vm.config.diff``; with ``project`` the file as it is now is compared too."""

    project: Up | None = None


class ConfigPlan(OfVm, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``vm.config.plan``: of changes, or with ``project`` of an ``up``, or of a start."""

    changes: Changes | None = None
    discard: bool = False
    project: Up | None = None


class Upgrade(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``daemon.upgrade``: how long operations that are under way may take, in seconds."""

    timeout_s: Annotated[float, msgspec.Meta(ge=0, le=86400)] = 60.0


class Subscribe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``events.subscribe``. ``since``: the number of the last event that is known already."""

    since: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] | None = None


class Status(OfVm, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``vm.status``."""

    guest: bool = False


class Stop(OfVm, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``vm.stop``; ``timeout_s`` is the guest's time before it is forced.

    ``wait`` none: answer when it is on disk that the VM is to be stopped.
    """

    wait: Literal["none", "stopped"] = "stopped"
    force: bool = False
    timeout_s: Annotated[float, msgspec.Meta(ge=0, le=3600)] | None = None


class Restart(OfVm, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``vm.restart``: as ``vm.stop``, then as ``vm.start``."""

    wait: Wait = "ready"
    force: bool = False
    timeout_s: Annotated[float, msgspec.Meta(ge=0, le=3600)] | None = None


class Provision(OfVm, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``vm.provision``; ``project``: its file is taken over first, as by ``vm.up``."""

    wait: Wait = "ready"
    project: Up | None = None


class Session(OfVm, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``vm.session``."""

    kind: Literal["exec", "copy", "tunnel"]


class PortAdd(OfVm, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``vm.ports.add``; ``host_port`` 0 or none means any free one."""

    guest_port: Port
    host_port: HostPort | None = None
    host_ip: Text | None = None
    guest_ip: Text | None = None


class PortRemove(OfVm, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``vm.ports.remove``; at least one of the ports."""

    host_port: Port | None = None
    guest_port: Port | None = None


class DisplayOpen(OfVm, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``vm.display.open``; ``seat``: the caller's desktop, as variables of its environment.

    Empty: the desktop that the driver inherited from whoever started the daemon.
    """

    seat: Annotated[dict[Name, Text], msgspec.Meta(max_length=64)] = msgspec.field(
        default_factory=dict
    )


class ImageBuild(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``image.build``."""

    name: Text
    arch: Text | None = None
    kernel: Literal["generic", "cloud"] | None = None
    mirror: Text | None = None
    force: bool = False


class ImagePull(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``image.pull``."""

    location: Text
    digest: Text


class ImagePrune(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``image.prune``; ``cache``: also what can be made again."""

    cache: bool = False


class ImageRemove(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``image.remove``."""

    ref: Text


class CallCancel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``call.cancel``; ``id`` is of a request on the same connection.

    ``then``: what becomes of an ``up`` that nobody else waits for. Not said: it is undone until the
    agent has answered, and goes on from then.
    """

    id: int | Name
    then: Literal["undo", "keep"] | None = None


class LogLevel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``log.level``: of a VM's driver, or without ``name`` the daemon's; no ``level`` only asks."""

    name: Text | None = None
    of_project: Text | None = None
    level: Literal["error", "warn", "info", "debug"] | None = None


def decode(kind: type[Struct], method: str, data: Any) -> Struct:
    """The parameters as a struct.

    Raises:
        errors.InvalidParams: they do not fit; ``field`` is the path, as in ``user.uid``.
    """
    try:
        return msgspec.convert({} if data is None else data, kind)
    except msgspec.ValidationError as exc:
        what, _, path = str(exc).partition(" - at ")
        field = path.strip("`").removeprefix("$.").removeprefix("$") or None
        where = f"{field}: " if field else ""
        raise errors.InvalidParams(f"{method}: {where}{what}", field=field) from exc
