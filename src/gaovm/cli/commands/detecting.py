"""What ``init`` found in the project: read it, show it, put it into the config's text.

Both ``gaovm init`` and ``sysinit-vm init`` use it; each prints and asks in its own words.
"""

from __future__ import annotations

from pathlib import Path

from gaovm import errors
from gaovm.cli import calls, output, project_dir
from gaovm.hostfacts import sources
from gaovm.project import config, nodes, problems
from gaovm.project.detection import detect, writing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from gaovm.cli import options

QUESTION = "Put these packages and ports into the config?"
_HEAD = ("MADE WITH", "SEEN IN", "PACKAGES", "PORTS")


class Offer:
    """What was found in a project, and how its config would look with it.

    ``text`` is the config with what was found; None: there is nothing to put in, or no place for
    it, which ``problem`` says.
    """

    def __init__(self, project: Path, text: str) -> None:
        files = sources.clues(project)
        there = _there(project, text)
        self.found = detect.lacking(
            detect.detect(files.texts, files.marks), writing.installed(there)
        )
        self.unread = {name: why for name, why in files.unread.items()}
        for name in self.found.unreadable:
            self.unread[f"a file of {name}"] = "it does not have its format"
        taken = writing.forwarded(there)
        self.ports = writing.ports(self.found, taken)
        self.problem: str | None = None
        self.text: str | None = None
        if self.found.packages or self.ports:
            self.text = writing.add(text, self.found, taken)
            if self.text is None:
                self.problem = "the template's lists are in one line: add these by hand"

    def lines(self) -> list[str]:
        """Return what was found for people: a table, then notes."""
        if not self.found.findings:
            return self.warnings()
        rows = [
            (
                each.name,
                ", ".join(each.files),
                " ".join(each.packages) or "-",
                ", ".join(f"{port.number} ({port.why})" for port in each.ports) or "-",
            )
            for each in self.found.findings
        ]
        notes = [f"  note: {note}" for each in self.found.findings for note in each.notes]
        return [*output.table(_HEAD, rows).splitlines(), *notes, *self.warnings()]

    def warnings(self) -> list[str]:
        """Return a line for each file that could not be read."""
        return [f"  not read: {name}: {why}" for name, why in self.unread.items()]

    def json(self) -> list[dict[str, Any]]:
        """Return what was found as JSON data."""
        return [
            {
                "name": each.name,
                "files": list(each.files),
                "packages": list(each.packages),
                "ports": [{"port": port.number, "why": port.why} for port in each.ports],
                "notes": list(each.notes),
            }
            for each in self.found.findings
        ]


def wanted(parsed: options.Parsed) -> bool | None:
    """Return what ``--detect`` and ``--no-detect`` say; None: ask, where somebody can answer.

    Raises:
        errors.UsageError: both were given.
    """
    detect_it, leave = parsed.flag("detect"), parsed.flag("no-detect")
    if detect_it and leave:
        raise errors.UsageError("--detect and --no-detect exclude each other")
    return True if detect_it else False if leave else None


def _there(project: Path, text: str) -> nodes.Table:
    """Return the config with its bases; an empty one of a text that is wrong."""
    path = str(project / project_dir.CONFIG)
    files = sources.Files(Path(calls.home()), str(project))
    found = problems.Findings(path)
    try:
        return config.tree(text, path, str(Path.home()), str(project), files, found)
    except errors.CallerError:
        return nodes.Table(1, "", {}, {})
