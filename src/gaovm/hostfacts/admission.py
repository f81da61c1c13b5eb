"""Refuse, for ``up`` and ``explain``, a project file that asks for what this host does not have."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from gaovm import errors
from gaovm.hostfacts import mounts, programs
from gaovm.project import fields, images
from gaovm.project.sections import provisioning

if TYPE_CHECKING:
    from gaovm.project import config

#: What ``gaovm-yq`` reads and writes.
FORMATS = ("json", "yaml")


def check(loaded: config.Loaded, home: Path) -> None:
    """Return if this host can make a VM from a file, as far as it can tell without making one.

    Looks at directories of the host: this may block on a network file system whose server is gone.

    Raises:
        errors.ImageUnknown: GaoVM cannot get the image.
        errors.ConfigError: the file gives a digest for an image that is built here, or copies a
            file of the guest's into ``home``, edits one although there is no program for it, or
            runs a playbook on this machine.
        errors.MountMissing: a mount's directory does not exist on this host.
        errors.MountRefused: a mount's directory lies in ``home``, GaoVM's own.
    """
    images.check(loaded)
    _check_copies(loaded, home)
    _check_edits(loaded)
    _check_playbooks(loaded)
    mounts.check(
        loaded.spec.shares, home, lambda share: f"{loaded.place(share.field or 'mounts')}:"
    )


def _check_edits(loaded: config.Loaded) -> None:
    """Refuse mode ``yq`` where there is no program for it, or for the file's format."""
    arch = loaded.spec.boot.arch
    for edit in loaded.spec.guest.provision:
        if edit.mode != "yq" or edit.target is None:
            continue
        field, why = f"{edit.name}.format", ""
        if edit.target.format not in FORMATS:
            why = f"GaoVM edits JSON and YAML; {edit.target.path} is {edit.target.format}"
        elif programs.yq(arch) is None:
            field = f"{edit.name}.mode"
            why = f"this installation has no gaovm-yq for {arch} guests, which mode yq needs"
        if why:
            raise errors.ConfigError(
                f"{loaded.place(field)}: {why}",
                field=field,
                remedy="write the whole file with mode data, or edit it in a script",
            )


def _check_playbooks(loaded: config.Loaded) -> None:
    """Refuse mode ``ansible``: its entry is in no spec."""
    for entry in fields.tables(loaded.root, "provision"):
        if fields.text(entry, "mode") == "ansible":
            field = fields.below(entry, "mode")
            raise errors.ConfigError(
                f"{loaded.place(field)}: {provisioning.NO_PLAYBOOKS}",
                field=field,
                remedy="run ansible-playbook yourself once the VM is up, or in it by mode system",
            )


def _check_copies(loaded: config.Loaded, home: Path) -> None:
    real_home = os.path.realpath(home).rstrip("/")
    for copy in loaded.spec.guest.copies:
        directory = os.path.realpath(copy.host.rpartition("/")[0] or "/")
        if copy.host.startswith("/") and f"{directory}/".startswith(f"{real_home}/"):
            field = f"{copy.name}.host"
            raise errors.ConfigError(
                f"{loaded.place(field)}: {copy.host} lies in GaoVM's own directory {home}",
                field=field,
                remedy="write {{.Dir}}/copied-from-guest/NAME, or a path elsewhere",
            )
