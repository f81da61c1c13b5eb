"""``gaovm init``: writes the project's config file from a template. Needs no daemon.

It names what it finds in the project, and offers the packages and ports that follow.
"""

from __future__ import annotations

import sys

from gaovm import errors
from gaovm.cli import calls, options, output, project_dir
from gaovm.cli.commands import taskfile
from gaovm.hostfacts import templates as there
from gaovm.project import templates

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from gaovm.cli.commands import detecting


def run(parsed: options.Parsed) -> int:
    """Write ``.lima/config.yaml`` and ``.lima/.gitignore`` in the current directory."""
    from pathlib import Path

    from gaovm.cli.commands import detecting

    name, wanted = parsed.word() or "dev", detecting.wanted(parsed)
    project = Path(project_dir.working_directory())
    text = templates.render(_read(name), str(project), project.name)
    config = project / project_dir.CONFIG
    with_tasks = parsed.flag("taskfile")
    if with_tasks and parsed.flag("json"):
        raise INIT.mistake("--taskfile and --json exclude each other")
    if with_tasks and config.exists() and parsed.word() is None and not parsed.flag("force"):
        taskfile.add(project)
        return 0
    if config.exists() and not parsed.flag("force") and not _overwrite(config):
        return 1
    offer = None if wanted is False else detecting.Offer(project, text)
    made = _made(parsed, offer, wanted)
    write(project, text if made is None else made, templates.GITIGNORE)
    if parsed.flag("json"):
        output.json_out(_result(config, name, offer, made is not None))
        return 0
    output.out(f"wrote .lima/config.yaml (template {name})")
    if with_tasks:
        taskfile.add(project)
    output.out("Next:  gaovm up      make and start the VM; gaovm shell opens a shell in it")
    return 0


def _made(parsed: options.Parsed, offer: detecting.Offer | None, wanted: bool | None) -> str | None:
    """Return the config with what was found, if the user wants it; show what was found."""
    if offer is None:
        return None
    if not parsed.flag("json"):
        for line in offer.lines():
            output.out(output.harmless(line))
    if offer.problem is not None:
        output.err(f"gaovm: {offer.problem}")
    if offer.text is None or wanted is True:
        return offer.text
    if sys.stdin.isatty() and sys.stdout.isatty():
        from gaovm.cli.commands import detecting

        return offer.text if output.confirm(detecting.QUESTION, default=True) else None
    if not parsed.flag("json"):
        output.out("`gaovm init --detect` puts these packages and ports into the config")
    return None


def _result(
    config: Path, template: str, offer: detecting.Offer | None, added: bool
) -> dict[str, Any]:
    return {
        "config": str(config),
        "template": template,
        "detected": [] if offer is None else offer.json(),
        "unread": {} if offer is None else offer.unread,
        "added": added,
    }


def write(project: Path, config_text: str, ignore_text: str) -> None:
    """Write a project's config file, and ``.gitignore`` beside it where there is none.

    Raises:
        errors.HostError: the system refused.
    """
    directory = project / ".lima"
    config, ignore = project / project_dir.CONFIG, directory / ".gitignore"
    try:
        directory.mkdir(exist_ok=True)
        _write(project, config, config_text)
        if not ignore.exists():
            _write(project, ignore, ignore_text)
    except OSError as exc:
        raise errors.HostError(f"{exc.filename or config}: {exc.strerror}") from exc


def _read(name: str) -> str:
    """Return the text of the user's own template of that name, else of one of ours."""
    path = there.path_of(calls.home(), name)
    if path is None and name not in templates.NAMES:
        raise there.missing(calls.home(), name)
    if path is None:
        return templates.read(name)
    from pathlib import Path

    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise errors.HostError(f"{path}: {exc}") from exc


def _overwrite(config: Path) -> bool:
    if not sys.stdin.isatty():
        raise errors.UsageError(f"{config} exists", remedy="gaovm init --force writes a new one")
    if output.confirm(f"{config} exists. Replace it?"):
        return True
    output.err("nothing was changed")
    return False


def _write(project: Path, path: Path, text: str) -> None:
    """Replace the file; a guest may have laid links in the project, which are not followed."""
    from gaovm.client import below

    below.write(path, text.encode(), (str(project),))


INIT = options.Command(
    "init",
    run,
    about="Write .lima/config.yaml and .lima/.gitignore for this directory from a template:\n"
    "dev (the default: Debian 12 with the project mounted), minimal, or one of yours\n"
    "(gaovm template ls). It names what the project is made with, from package.json,\n"
    "pyproject.toml, requirements.txt, go.mod, Cargo.toml, Gemfile, Dockerfile and compose.yaml,\n"
    "and offers the packages and ports that follow; at a terminal it asks.",
    words="[TEMPLATE]",
    count=(0, 1),
    options=(
        options.Option("-f, --force", "overwrite a config file without asking"),
        options.Option("--detect", "put what was found into the config without asking"),
        options.Option("--no-detect", "do not look at the project's files"),
        options.Option("--taskfile", "also add lima:start, lima:shell and so on for task"),
        options.JSON,
    ),
    examples=(
        "gaovm init",
        "gaovm init minimal",
        "gaovm init --detect --json",
        "gaovm init --taskfile",
    ),
)
