"""Parameters of ``vm.*`` (list, status, create, up, start, stop, restart, provision, adopt)."""

from __future__ import annotations

from typing import Literal

import msgspec

from gaovm.wire.control.bounds import ConfigText, Home, Id, Name, StopSeconds, Text, Wait
from gaovm.wire.control.target import OfVm


class Caller(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The user for whom the daemon makes a VM; ``home`` is the daemon's own when not given.

    ``proxies``: the proxy variables of the user's environment.
    """

    name: Name
    uid: Id
    gid: Id
    comment: Text = ""
    home: Home | None = None
    proxies: dict[Name, Text] = {}


class ProjectFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A project and its config file. ``env_name`` is the caller's ``VM_NAME``.

    ``approve``: the digest of an ``approval_needed`` error, by which a person approves what the
    file reaches.
    """

    project_dir: Text
    config_path: Text
    config_text: ConfigText
    user: Caller
    name: Text | None = None
    env_name: Text | None = None
    approve: Text | None = None


class Create(ProjectFile, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``update``: a VM of this directory that exists takes the file over for its next start."""

    update: bool = False


class Up(ProjectFile, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``wait``: when the daemon answers."""

    wait: Wait = "ready"


class Protect(OfVm, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``protected``: what the VM is afterwards."""

    protected: bool = True


class List(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """With ``of_project`` the result also names the VMs of that directory."""

    of_project: Text | None = None


class Adopt(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Without ``name`` the daemon only lists the VMs whose directories are gone.

    ``force``: take the VM even if its directory still exists.
    """

    project_dir: Text
    name: Text | None = None
    force: bool = False


class Start(OfVm, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``wait``: when the daemon answers."""

    wait: Wait = "ready"


class Status(OfVm, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``guest``: also ask the guest's agent."""

    guest: bool = False


class Stop(OfVm, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``timeout_s``: how long the guest may take before the daemon forces it.

    ``wait`` none: answer as soon as the request to stop is on disk.
    """

    wait: Literal["none", "stopped"] = "stopped"
    force: bool = False
    timeout_s: StopSeconds | None = None


class Restart(OfVm, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """As ``vm.stop``, then as ``vm.start``."""

    wait: Wait = "ready"
    force: bool = False
    timeout_s: StopSeconds | None = None


class Provision(OfVm, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``project``: take over its file first, as ``vm.up`` does."""

    wait: Wait = "ready"
    project: Up | None = None
