"""Where instances have their directories, and which VM is an instance.

An instance that is made from a template gets a directory of its own, ``$LIMA_HOME/NAME``, by
default ``$GAOVM_HOME/lima/NAME``; its VM belongs to that directory as a project's VM does to the
project's. With ``LIMA_HOME`` set, only the VMs of directories in it are instances; otherwise every
VM is one, so that a project's VM is listed too. ``list`` loads this module.
"""
# pathlib costs 5 ms, and this module is on the path of `list`
# ruff: noqa: PTH100, PTH111, PTH113, PTH118

from __future__ import annotations

import os

from gaovm import errors
from gaovm.client import paths
from gaovm.project import names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

CONFIG, PROTECTED, VERSION = "lima.yaml", "protected", "lima-version"
DEFAULT = "default"


def root() -> str:
    """Return the directory of all instances."""
    given = os.environ.get("LIMA_HOME")
    if given:
        return os.path.abspath(os.path.expanduser(given))
    return os.path.join(paths.home(), "lima")


class Place:
    """The directory of an instance that is made from a template, and its config file."""

    __slots__ = ("config", "directory", "name")

    def __init__(self, name: str, directory: str) -> None:
        self.name = name
        self.directory = directory
        self.config = os.path.join(directory, CONFIG)

    def exists(self) -> bool:
        """Tell whether the config file is there."""
        return os.path.lexists(self.config)


def place(name: str, vm: Mapping[str, Any] | None = None) -> Place:
    """Return where an instance has its files: ``vm`` knows, whatever ``LIMA_HOME`` is now."""
    if vm is not None and is_own(vm):
        return Place(name, str(vm["project"]))
    return Place(name, os.path.join(root(), name))


def is_own(vm: Mapping[str, Any]) -> bool:
    """Tell whether a VM was made from a template, and so has a directory of its own."""
    return bool(vm["config_path"] == os.path.join(str(vm["project"]), CONFIG))


def instances(vms: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the VMs that are instances, by name."""
    if not os.environ.get("LIMA_HOME"):
        return list(vms)
    here = root()
    return [vm for vm in vms if is_own(vm) and vm["project"] == os.path.join(here, vm["name"])]


def orphans(known: Sequence[str]) -> list[str]:
    """Return the names of instance directories that no VM belongs to.

    A ``create`` that was killed leaves one.
    """
    try:
        found = sorted(entry.name for entry in os.scandir(root()))
    except OSError:
        return []
    return [
        name
        for name in found
        if name not in known and names.is_valid(name) and os.path.isfile(place(name).config)
    ]


def default_name() -> str:
    """Return the instance meant when none is named."""
    return os.environ.get("LIMA_INSTANCE") or DEFAULT


def missing(name: str) -> errors.VmNotFound:
    """Return the error of a name that no instance has, in Lima's words."""
    shown = name[:80]
    return errors.VmNotFound(
        f"instance `{shown}` does not exist, run `limactl create {shown}` to create a new instance"
    )
