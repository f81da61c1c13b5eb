"""Decide which VM a command is about: the one that the user names, else the project's."""

from __future__ import annotations

import os

from gaovm import errors
from gaovm.cli import project_dir
from gaovm.project import names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from gaovm.cli import options
    from gaovm.client import blocking


class ProjectVm(str):
    """Stand for the project's VM where the user gave no name; the text is its usual name.

    The daemon finds the VM by its directory. No message shows this text: the VM may have another
    name.
    """

    __slots__ = ("project",)

    def __new__(cls, project: project_dir.Project) -> ProjectVm:
        name = super().__new__(cls, names.of_directory(project.directory))
        name.project = project.directory
        return name

    project: str


def about(name: str) -> dict[str, Any]:
    """Return the parameters that say which VM a call is about, never another project's."""
    if isinstance(name, ProjectVm):
        return {"name": str(name), "of_project": name.project}
    return {"name": name}


def command(words: str, name: str, rest: str = "") -> str:
    """Return a command line that a message proposes; it has the VM's name if the user gave one."""
    given = "" if isinstance(name, ProjectVm) else name
    return " ".join(part for part in ("gaovm", words, given, rest) if part)


def called(name: str) -> str:
    """Return what a sentence calls the VM."""
    return "the VM of this project" if isinstance(name, ProjectVm) else name


def here(client: blocking.Client, project: project_dir.Project) -> frozenset[str]:
    """Return the names of the VMs of a project's directory, also if it was moved since."""
    return frozenset(client.call("vm.list", {"of_project": project.directory}).get("here", ()))


def is_of(client: blocking.Client, name: str, project: project_dir.Project) -> bool:
    """Tell whether a VM belongs to a project's directory, and so to the project's file."""
    return isinstance(name, ProjectVm) or name in here(client, project)


def vm_name(parsed: options.Parsed, word: int = 0) -> str:
    """Return the VM meant: the word, else ``--name``, else ``VM_NAME``, else this project's.

    Raises:
        errors.UsageError: a name that breaks the rule, two names, or nothing to go by.
    """
    given, option = parsed.word(word), parsed.text("name")
    if given is not None and option is not None and given != option:
        raise errors.UsageError(f"two names were given: {given} and --name {option}")
    explicit = given if given is not None else option
    return project_vm() if explicit is None else names.check(explicit)


def project_vm() -> str:
    """Return the VM meant when the user names none: ``VM_NAME``, else this project's.

    Raises:
        errors.UsageError: there is neither.
    """
    given = os.environ.get("VM_NAME")
    return names.check(given) if given else ProjectVm(project_dir.need_project())


def project_name(project: project_dir.Project) -> str:
    """Return the name that this project's VM has when the user gives none."""
    return names.vm_name(None, os.environ.get("VM_NAME"), project.directory)
