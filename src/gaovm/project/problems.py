"""Collect all problems of a config file, so that one error reports all of them."""

from __future__ import annotations

from typing import NamedTuple

from gaovm import errors
from gaovm.project.nodes import Node, Origin

_LIMIT = 100
_MAX_REMEDIES = 10


class Problem(NamedTuple):
    """What is wrong, and where: ``path`` in ``file`` as the user wrote them.

    ``lima`` is Lima's own sentence for it, where Lima refuses the same.
    """

    file: str
    line: int
    path: str
    message: str
    remedy: str = ""
    lima: str = ""

    def text(self) -> str:
        """Return ``FILE:LINE: path: message``."""
        where = f"{self.file}:{self.line}: "
        return f"{where}{self.path}: {self.message}" if self.path else where + self.message

    def data(self) -> dict[str, str | int]:
        """Return the problem as JSON data, without empty parts."""
        parts: dict[str, str | int] = {"file": self.file, "line": self.line, "path": self.path}
        parts["message"] = self.message
        extra = (("remedy", self.remedy), ("lima", self.lima))
        return parts | {key: text for key, text in extra if text}


class Findings:
    """Problems (each ends the load) and warnings, with line and path."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.warnings: list[str] = []
        self._problems: list[Problem] = []
        self._places: set[tuple[str, str, int]] = set()

    @property
    def full(self) -> bool:
        """Whether there are so many problems that the collector ignores further ones."""
        return len(self._problems) >= _LIMIT

    def problem(
        self, node: Node, message: str, *, remedy: str, path: str | None = None, lima: str = ""
    ) -> None:
        """Note a problem of a node, or of its field at ``path``. Of one field, the first counts."""
        file, where = self._place(node, path)
        self.add(Problem(file, node.line, where, message, remedy, lima))

    def add(self, problem: Problem) -> None:
        """Note a problem whose place is known."""
        # a text that is no config has places without a path
        place = (problem.file, problem.path, 0 if problem.path else problem.line)
        if not self.full and place not in self._places:
            self._places.add(place)
            self._problems.append(problem)

    def warning(self, node: Node, message: str, *, path: str | None = None) -> None:
        """Note a warning; the load continues."""
        file, where = self._place(node, path)
        text = f"{file}:{node.line}: {where}: {message}"
        if len(self.warnings) < _LIMIT and text not in self.warnings:
            self.warnings.append(text)

    def _place(self, node: Node, path: str | None) -> tuple[str, str]:
        """Return file and path as the user wrote them, for a path in the whole config."""
        where = node.path if path is None else path
        origin: Origin | None = node.origin
        if origin is None:
            return self.path, where
        if where.startswith(node.path):
            where = origin.path + where[len(node.path) :]
        return origin.file or self.path, where

    @property
    def problems(self) -> list[Problem]:
        """The noted problems, in the order in which they were found."""
        return list(self._problems)

    def finish(self) -> None:
        """Raise an error if there are problems.

        Raises:
            errors.ConfigError: with all problems, file by file, in the order of each.
        """
        if self._problems:
            main = self.path
            # the main file's own first, then each other file's
            ordered = sorted(self._problems, key=lambda each: (each.file != main, *each[:2]))
            raise failure(main, ordered)


def failure(path: str, problems: list[Problem]) -> errors.ConfigError:
    """Return the error for a file: lines ``FILE:LINE: path: message``, and the same as data."""
    return errors.ConfigError(
        "\n".join(each.text() for each in problems),
        field=problems[0].path or None,
        remedy=_remedies(problems) or None,
        details={"file": path, "problems": [each.data() for each in problems]},
    )


def _remedies(problems: list[Problem]) -> str:
    """Return what to do, a line for each problem; where there are several, each names its field."""
    if len(problems) == 1:
        return problems[0].remedy
    known = [each for each in problems if each.remedy]
    lines = [f"{each.path}: {each.remedy}" if each.path else each.remedy for each in known]
    return "\n".join(dict.fromkeys(lines[:_MAX_REMEDIES]))
