"""What the agent sets up inside the guest: user, environment, provisioning, probes."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from gaovm.spec.base import Frozen

#: Lima's name for the host in the guest.
HOST_NAME = "host.lima.internal"


class User(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The account for shell, exec and cp. uid 0 is root: the agent leaves it as in the image.

    ``passwordless_sudo`` false: sudo asks for a password, which the guest chooses itself.
    """

    name: str
    uid: Annotated[int, msgspec.Meta(ge=0, le=2**32 - 2)]
    gid: Annotated[int, msgspec.Meta(ge=0, le=2**32 - 2)]
    home: str
    shell: str = "/bin/bash"
    comment: str = ""
    passwordless_sudo: bool = True


#: The order in which the modes run at each boot; ``boot`` scripts run while the distribution boots.
Mode = Literal["boot", "dependency", "data", "yq", "system", "user"]


class Target(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The file in the guest that an entry of mode ``data`` or ``yq`` writes.

    ``owner`` is USER or USER:GROUP, ``permissions`` octal digits. ``overwrite``: also a file that
    exists (``data``). ``format``: the file's (``yq``).
    """

    path: str
    owner: str = "root:root"
    permissions: str = "644"
    overwrite: bool = True
    format: str = "auto"


# What has its default is not written: a driver from before an upgrade knows no such field.
class Script(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """An entry of ``provision``; errors refer to it by ``name``, e.g. ``provision[0]``.

    ``script`` is a script, the content of a file (``data``), or an expression (``yq``).
    ``env``: variables for this script besides the guest's, such as ``PARAM_NAME``.
    """

    name: str
    mode: Mode
    script: str
    env: dict[str, str] = msgspec.field(default_factory=dict)
    target: Target | None = None


class Probe(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A readiness probe: a script with a ``#!`` line; GaoVM repeats it until it exits with 0."""

    description: str
    script: str
    hint: str = ""
    env: dict[str, str] = msgspec.field(default_factory=dict)


class Trust(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The certificates (PEM) that the guest trusts, besides its own or in their place."""

    certificates: tuple[str, ...] = ()
    remove_defaults: bool = False


class Copy(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file of the guest's that is copied to the host once the guest is ready.

    ``host`` is absolute, or relative to the VM's own directory. ``name``: for errors.
    ``delete_on_stop``: the host's file goes when the VM stops.
    """

    name: str
    guest: str
    host: str
    skip_if_missing: bool = False
    delete_on_stop: bool = False


class Guest(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The setup inside the guest, in this order: user, environment, mounts, scripts, probes.

    ``timezone``: a name of the zone database; empty leaves the guest's. ``hosts``: names and their
    IP addresses, or ``HOST_NAME``. ``servers``: addresses of name servers; none: the host's
    resolver. ``trust``: installed before the scripts run. ``upgrade_packages``: at each boot,
    before the scripts. ``plain``: without mounts, and without ports that follow the guest.
    """

    user: User
    hostname: str
    env: dict[str, str] = msgspec.field(default_factory=dict)
    provision: tuple[Script, ...] = ()
    probes: tuple[Probe, ...] = ()
    timezone: str = ""
    hosts: dict[str, str] = msgspec.field(default_factory=dict)
    servers: tuple[str, ...] = ()
    trust: Trust = Trust()
    upgrade_packages: bool = False
    copies: tuple[Copy, ...] = ()
    plain: bool = False
