"""``sysinit-vm init``: write the project's config file. Needs no daemon."""

from __future__ import annotations

from pathlib import Path

from gaovm import errors
from gaovm.cli import calls, project_dir
from gaovm.cli.commands import init as gaovm_init
from gaovm.cli.sysinit import say
from gaovm.hostfacts import templates as there
from gaovm.project import names, templates


def init(words: list[str]) -> int:
    """Write ``.lima/config.yaml`` and ``.lima/.gitignore``; ask before a config is replaced."""
    template = words[0] if words else "dev"
    project = Path(project_dir.working_directory())
    _check(template, project)
    name = _vm_name(project)
    config = project / project_dir.CONFIG
    if config.exists():
        say.warn(".lima/config.yaml already exists")
        if not say.ask("Overwrite?"):
            return 0
    text = templates.render(
        templates.read("project-template"), str(project), project.name, template
    )
    gaovm_init.write(project, text, templates.LIMA_GITIGNORE)
    say.info("Lima VM config created at .lima/config.yaml")
    say.info(f"VM name: {name}")
    say.info("")
    say.info("Next steps:")
    say.info("  1. Review .lima/config.yaml")
    say.info("  2. Start VM: sysinit-vm start")
    say.info("  3. Connect: sysinit-vm shell")
    return 0


def _check(template: str, project: Path) -> None:
    """Refuse what gives no config that means what was asked for.

    Raises:
        errors.UsageError: no such template, or a directory that a config cannot name.
    """
    if template not in templates.NAMES and there.path_of(calls.home(), template) is None:
        raise there.missing(calls.home(), template)
    if not project.name:
        raise errors.UsageError("The root directory is no project", remedy="cd to a directory")
    if "{{" in str(project):
        raise errors.UsageError(
            f"{project}: a config takes {{{{ in a path for the beginning of a variable",
            remedy="rename the directory",
        )


def _vm_name(project: Path) -> str:
    """Return the VM's name; say so where it is not the directory's own.

    Raises:
        errors.UsageError: ``VM_NAME`` breaks the rule of names.
    """
    import os

    name = names.vm_name(None, os.environ.get("VM_NAME"), str(project))
    wanted = f"{project.name}-dev"
    if not os.environ.get("VM_NAME") and name.lower() != wanted.lower():
        say.warn(
            f"{wanted!r} is no VM name: it has letters and digits with single . _ - between them"
        )
    return name
