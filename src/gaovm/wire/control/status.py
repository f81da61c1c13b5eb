"""What clients see of a VM, and the results of ``vm.*`` that hold it."""

from __future__ import annotations

from typing import Annotated

import msgspec

from gaovm.model.states import Desired, FirstUp, Observed, Readiness
from gaovm.spec.diff import Difference
from gaovm.wire import anyjson
from gaovm.wire.agent.info import Info
from gaovm.wire.control.ports import PortStatus

#: A back end's name: an open set.
VmType = Annotated[str, msgspec.Meta(examples=["qemu"])]


class VmImage(msgspec.Struct, frozen=True, kw_only=True):
    """The image of a VM's disk; before the first start the one that its config names."""

    name: str
    digest: str | None
    kernel: str


class Accelerator(msgspec.Struct, frozen=True, kw_only=True):
    """What runs the guest's instructions (``kvm``, ``hvf``, ``tcg``), and the reason."""

    name: str
    reason: str


class Guard(msgspec.Struct, frozen=True, kw_only=True):
    """The confinement of a mount's server: its user id and the measures in force."""

    uid: int | None
    in_force: tuple[str, ...]


class Mount(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A directory of the host in the guest; ``reason`` says why this ``type`` carries it."""

    location: str
    mount_point: str
    type: str | None
    reason: str
    writable: bool
    guard: Guard | None = None


class AdditionalDisk(msgspec.Struct, frozen=True, kw_only=True):
    """A named disk that the VM gets; ``size_bytes`` is null when there is no such disk."""

    name: str
    mount_point: str
    size_bytes: int | None


class Network(msgspec.Struct, frozen=True, kw_only=True):
    """What carries the guest's network; ``problem`` says what is wrong with it now.

    ``host_access``: the guest may reach servers on the host's 127.0.0.1, because the config says
    so.
    """

    problem: str | None
    type: str | None
    reason: str
    host_access: bool


class Confinement(msgspec.Struct, frozen=True, kw_only=True):
    """The cage around the hypervisor: measures in force, measures missing and why, its user id."""

    in_force: tuple[str, ...]
    missing: dict[str, str]
    uid: int | None


class User(msgspec.Struct, frozen=True, kw_only=True):
    """The user in the guest."""

    name: str
    uid: int
    gid: int
    home: str


class Ssh(msgspec.Struct, frozen=True, kw_only=True):
    """What the config lets OpenSSH do; ``load_public_keys``: those of ``~/.ssh`` may log in."""

    load_public_keys: bool
    forward_agent: bool
    forward_x11: bool
    forward_x11_trusted: bool


class Boot(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Milliseconds: from the hypervisor's exec to the agent and to ready, and two steps before."""

    agent_ms: float | None
    ready_ms: float | None
    fork_to_hello_ms: float | None = None
    request_to_exec_ms: float | None = None


class Restarts(msgspec.Struct, frozen=True, kw_only=True):
    """The restart policy, and how many attempts in a row it has made. ``due_at``: the next."""

    policy: str
    attempts: int
    max_attempts: int
    due_at: str | None


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """Something that can be done about a failure; ``code`` is one of ``errors.actions``."""

    code: str
    args: dict[str, str]


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """The last error of a VM; ``serial_tail``: the last lines of the console, if it gave up."""

    code: str
    message: str
    at: str
    remedy: str | None
    actions: tuple[Action, ...]
    serial_tail: tuple[str, ...]


class Logs(msgspec.Struct, frozen=True, kw_only=True):
    """Paths of the log files: of the guest's console, and of the driver."""

    serial: str
    driver: str


class VmStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A VM as clients see it. Times are UTC, ISO 8601.

    ``state`` is the one word for people (``running``, ``stopped``, ``starting``, ``stopping``,
    ``failed``, ``restarting``, ``first-up-failed``, ``degraded``, or ``interrupted``: its ``up``
    was interrupted and continues). ``detail`` is one line that says why. ``readiness`` is null
    unless the VM runs. ``pending``: what the next start changes. ``overrides``: what
    ``vm.config.set`` has put over the project file. ``ports_problem``: what keeps some of the
    guest's servers from being forwarded at all. ``config_path``: the file it was made from.
    ``protected``: it cannot be removed.
    """

    name: str
    project: str
    config_path: str
    protected: bool
    state: str
    detail: str
    desired: Desired
    observed: Observed
    readiness: Readiness | None
    first_up: FirstUp
    paused: bool
    created_at: str
    started_at: str | None
    vm_type: VmType
    arch: str
    cpus: int
    memory_bytes: int
    disk_bytes: int
    additional_disks: tuple[AdditionalDisk, ...]
    image: VmImage
    machine: str | None
    accelerator: Accelerator | None
    mounts: tuple[Mount, ...]
    ports: tuple[PortStatus, ...]
    network: Network
    confinement: Confinement | None
    user: User
    ssh: Ssh
    driver_pid: int | None
    hypervisor_pid: int | None
    boot: Boot | None
    restarts: Restarts
    last_error: Failure | None
    dir: str
    run_dir: str
    logs: Logs
    message: str | None
    pending: tuple[Difference, ...]
    overrides: anyjson.Object
    ports_problem: str | None = None


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What a VM takes of the host now; ``memory_bytes`` is null while it has no process."""

    memory_bytes: int | None
    processes: int
    disk_bytes: int


class VmReport(VmStatus, frozen=True, kw_only=True):
    """A VM, what it takes, and what its guest's agent says.

    ``guest`` is there only if the caller asked for it, and null when the agent gave no answer.
    """

    usage: Usage
    guest: Info | msgspec.UnsetType | None = msgspec.UNSET


class VmList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All VMs by name; ``here``: the names of the given directory's VMs."""

    vms: tuple[VmStatus, ...]
    here: tuple[str, ...] | None = None


class UpResult(msgspec.Struct, frozen=True, kw_only=True):
    """``created``: the VM is new; ``already``: it was up before the call."""

    vm: VmStatus
    created: bool
    already: bool
    warnings: tuple[str, ...]


class Created(msgspec.Struct, frozen=True, kw_only=True):
    """The new VM, and what to tell the user about its config."""

    vm: VmStatus
    warnings: tuple[str, ...]


class Destroyed(msgspec.Struct, frozen=True, kw_only=True):
    """The removed VM, and the bytes that its directory took."""

    name: str
    freed_bytes: int


class Lost(msgspec.Struct, frozen=True, kw_only=True):
    """The VMs whose directories are gone."""

    lost: tuple[VmStatus, ...]
