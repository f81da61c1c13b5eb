"""``gaovm init --taskfile``: give a project's Taskfile the commands ``lima:start`` and so on."""

from __future__ import annotations

from gaovm import errors
from gaovm.cli import output
from gaovm.project import templates

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

#: The names under which task looks for a Taskfile, in its order.
NAMES = (
    *("Taskfile.yml", "taskfile.yml", "Taskfile.yaml", "taskfile.yaml"),
    *("Taskfile.dist.yml", "taskfile.dist.yml", "Taskfile.dist.yaml", "taskfile.dist.yaml"),
)
BESIDE = "Taskfile.lima.yml"
_INCLUDE = f"""\
Add to {{own}}:
  includes:
    sysinit:
      taskfile: ./{BESIDE}
      flatten: true"""


def add(project: Path) -> None:
    """Write the tasks: as the project's Taskfile, or beside the one that it has.

    Raises:
        errors.HostError: the system refused.
    """
    from gaovm.client import below

    text = templates.taskfile()
    own = next((name for name in NAMES if (project / name).exists()), None)
    name = templates.TASKFILE if own is None else BESIDE
    if own is not None and _has(project / own, text):
        output.out(f"{own} has the tasks already")
        return
    try:
        # a guest may have laid links in the project, which are not followed
        below.write(project / name, text.encode(), (str(project),))
    except OSError as exc:
        raise errors.HostError(f"{exc.filename or name}: {exc.strerror}") from exc
    output.out(f"wrote {name}: task --list-all shows the commands")
    if own is not None:
        output.out(_INCLUDE.format(own=own))


def _has(path: Path, text: str) -> bool:
    """Tell whether a Taskfile is ours, or takes ours in."""
    try:
        found = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return found == text
