"""``gaovm init``: writes the project's config file from a template. Needs no daemon."""

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


def run(parsed: options.Parsed) -> int:
    """Write ``.lima/config.yaml`` and ``.lima/.gitignore`` in the current directory."""
    from pathlib import Path

    name = parsed.word() or "dev"
    project = Path(project_dir.working_directory())
    text = templates.render(_read(name), str(project), project.name)
    config = project / project_dir.CONFIG
    with_tasks = parsed.flag("taskfile")
    if with_tasks and config.exists() and parsed.word() is None and not parsed.flag("force"):
        taskfile.add(project)
        return 0
    if config.exists() and not parsed.flag("force") and not _overwrite(config):
        return 1
    write(project, text, templates.GITIGNORE)
    output.out(f"wrote .lima/config.yaml (template {name})")
    if with_tasks:
        taskfile.add(project)
    output.out("Next:  gaovm up      make and start the VM; gaovm shell opens a shell in it")
    return 0


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
    "(gaovm template ls).",
    words="[TEMPLATE]",
    count=(0, 1),
    options=(
        options.Option("-f, --force", "overwrite a config file without asking"),
        options.Option("--taskfile", "also add lima:start, lima:shell and so on for task"),
    ),
    examples=("gaovm init", "gaovm init minimal", "gaovm init --taskfile"),
)
