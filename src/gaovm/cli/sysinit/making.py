"""``sysinit-vm init``: write the project's config file. Needs no daemon."""

from __future__ import annotations

import sys
from pathlib import Path

from gaovm import errors
from gaovm.cli import calls, project_dir
from gaovm.cli.commands import detecting
from gaovm.cli.commands import init as gaovm_init
from gaovm.cli.sysinit import say
from gaovm.hostfacts import templates as there
from gaovm.project import names, templates

_DETECT = {"--detect": True, "--no-detect": False}


def init(words: list[str]) -> int:
    """Write ``.lima/config.yaml`` and ``.lima/.gitignore``; ask before a config is replaced."""
    template, wanted = _words(words)
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
    text = _with_detected(project, text, wanted)
    gaovm_init.write(project, text, templates.LIMA_GITIGNORE)
    say.info("Lima VM config created at .lima/config.yaml")
    say.info(f"VM name: {name}")
    say.info("")
    say.info("Next steps:")
    say.info("  1. Review .lima/config.yaml")
    say.info("  2. Start VM: sysinit-vm start")
    say.info("  3. Connect: sysinit-vm shell")
    return 0


def _words(words: list[str]) -> tuple[str, bool | None]:
    """Return the template, and whether to put in what is found; None: ask.

    Raises:
        errors.UsageError: an option that ``init`` does not have, or two templates.
    """
    names = [word for word in words if word not in _DETECT]
    given = {_DETECT[word] for word in words if word in _DETECT}
    if names and names[0].startswith("-"):
        raise errors.UsageError(f"Unknown option: {names[0]}. Try 'sysinit-vm help'")
    if len(names) > 1:
        raise errors.UsageError(f"Unexpected word: {names[1]}. Try 'sysinit-vm help'")
    if len(given) > 1:
        raise errors.UsageError("--detect and --no-detect exclude each other")
    return (names[0] if names else "dev"), (given.pop() if given else None)


def _with_detected(project: Path, text: str, wanted: bool | None) -> str:
    """Return the config with what was found in the project, if the person wants it."""
    if wanted is False:
        return text
    offer = detecting.Offer(project, text)
    for line in offer.lines():
        say.info(line)
    if offer.problem is not None:
        say.warn(offer.problem)
    if offer.text is None:
        return text
    if wanted is None:
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            say.info("`sysinit-vm init --detect` puts these packages and ports into the config")
            return text
        wanted = say.ask(detecting.QUESTION, default=True)
    return offer.text if wanted else text


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
