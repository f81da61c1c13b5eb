"""Which VM a command is about: the one that is named, else that of the project."""

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
    """A name that nobody gave: what the VM of the project's directory is usually called.

    The daemon knows which VM that is, and how it is called: nothing is told of this name.
    """

    __slots__ = ("project",)

    def __new__(cls, project: project_dir.Project) -> ProjectVm:
        name = super().__new__(cls, names.of_directory(project.directory))
        name.project = project.directory
        return name

    project: str


def about(name: str) -> dict[str, Any]:
    """The parameters that say which VM a call is about: no other project's by accident."""
    if isinstance(name, ProjectVm):
        return {"name": str(name), "of_project": name.project}
    return {"name": name}


def word(name: str) -> str:
    """A name as the last word of a command that is proposed: empty where nobody gave one."""
    return "" if isinstance(name, ProjectVm) else name


def called(name: str) -> str:
    """A VM in a sentence."""
    return "the VM of this project" if isinstance(name, ProjectVm) else name


def here(client: blocking.Client, project: project_dir.Project) -> frozenset[str]:
    """The names of the VMs of a project's directory, wherever that was when they were made."""
    return frozenset(client.call("vm.list", {"of_project": project.directory}).get("here", ()))


def is_of(client: blocking.Client, name: str, project: project_dir.Project) -> bool:
    """Whether a VM is one of a project's directory, so that the project's file is its own."""
    return isinstance(name, ProjectVm) or name in here(client, project)


def vm_name(parsed: options.Parsed, word: int = 0) -> str:
    """The VM meant: the word, else ``--name``, else ``VM_NAME``, else this project's.

    Raises:
        errors.UsageError: a name that breaks the rule, two names, or nothing to go by.
    """
    given, option = parsed.word(word), parsed.text("name")
    if given is not None and option is not None and given != option:
        raise errors.UsageError(f"two names were given: {given} and --name {option}")
    explicit = given if given is not None else option
    return project_vm() if explicit is None else names.check(explicit)


def project_vm() -> str:
    """The VM meant when none is named: ``VM_NAME``, else this project's.

    Raises:
        errors.UsageError: there is neither.
    """
    given = os.environ.get("VM_NAME")
    return names.check(given) if given else ProjectVm(project_dir.need_project())


def project_name(project: project_dir.Project) -> str:
    """The name this project's VM has when none is given."""
    return names.vm_name(None, os.environ.get("VM_NAME"), project.directory)
