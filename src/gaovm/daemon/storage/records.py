"""The daemon's record of one VM: the row in the database and its copy in memory."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from gaovm.model import states, supervision
from gaovm.spec import reach, vm
from gaovm.spec.ports import PortForward
from gaovm.wire.driver import results


class ImageRef(msgspec.Struct, frozen=True, kw_only=True):
    """The image under a VM's disk, which is an overlay of it.

    ``downloaded`` is the digest of a pulled disk's file as it came: what the URL had at the VM's
    first start.
    """

    name: str
    digest: str
    kernel: str
    downloaded: str = ""


class Facts(results.Choices, frozen=True, kw_only=True):
    """The driver's choices at the last start, and how long that boot took."""

    boot: results.Boot | None = None

    @classmethod
    def of(cls, told: results.Choices) -> Facts:
        """Take the facts from an answer to ``vm.configure`` or ``vm.status``."""
        boot = told.boot if isinstance(told, results.VmStatus) else None
        return cls(
            machine=told.machine,
            accelerator=told.accelerator,
            mounts=told.mounts,
            ports=told.ports,
            network=told.network,
            confinement=told.confinement,
            ports_problem=told.ports_problem,
            boot=boot,
        )


class Action(msgspec.Struct, frozen=True, kw_only=True):
    """A user's action after a failure: a row of ``errors.actions`` and its arguments."""

    code: str
    args: dict[str, str] = {}


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """The last error of a VM, kept until the next successful ``up``.

    ``serial_tail``: the last lines of the console, if the daemon gave the VM up.
    """

    code: str
    message: str
    at: str
    remedy: str | None = None
    actions: tuple[Action, ...] = ()
    serial_tail: tuple[str, ...] = ()


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """The access that a person approved for a project file; ``digest`` covers it and the text."""

    digest: str
    reaches: tuple[reach.Reach, ...]


class Directory(msgspec.Struct, frozen=True, kw_only=True):
    """A project's directory, by device and inode: they stay when somebody moves the directory.

    ``mark``: what the daemon wrote into its ``.lima`` when it got its VM; None if that failed. It
    tells a moved directory from a later one with the same inode, and serves nothing else: the guest
    can write it.
    """

    device: int
    inode: int
    mark: str | None = None


class VmRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One VM as it is stored. Times are UTC, ISO 8601.

    ``spec`` is what the VM was last started with. ``base`` is the project file as last read,
    ``overrides`` the layer that ``gaovm set`` puts over it (its own words to JSON values), and
    ``pending`` what the next start applies, if that differs.
    ``disk_used``: an agent once answered from this disk, so it may hold the user's work.
    ``deleting`` marks a removal that a crash may have interrupted.
    ``approved`` is what a person let ``base`` reach; None: the row is older than approvals.
    ``directory`` is what ``project`` was when last seen. ``is_default``: the VM is its project's
    own, the one that commands without a NAME mean. None: the row is older than both.
    ``protected``: nobody removes it until somebody takes the protection away.
    """

    name: str
    project: str
    config_path: str
    spec: vm.VmSpec
    run_id: str
    created_at: str
    state: states.VmState = states.VmState()
    started_at: str | None = None
    boot_id: str | None = None
    image: ImageRef | None = None
    facts: Facts = Facts()
    last_error: Failure | None = None
    added_ports: tuple[PortForward, ...] = ()
    disk_used: bool = False
    deleting: bool = False
    base: vm.VmSpec | None = None
    overrides: dict[str, Any] = msgspec.field(default_factory=dict)
    pending: vm.VmSpec | None = None
    restarts: supervision.History = supervision.History()
    approved: Approval | None = None
    directory: Directory | None = None
    is_default: bool | None = None
    protected: bool = False


def spec_digest(spec: vm.VmSpec) -> str:
    """Return SHA-256 of the spec's canonical JSON: equal exactly if two specs ask for the same."""
    data = msgspec.json.encode(spec, order="deterministic")
    return hashlib.sha256(data).hexdigest()
