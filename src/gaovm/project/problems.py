"""Collect all problems of a config file, so that one error reports all of them."""

from __future__ import annotations

from gaovm import errors
from gaovm.project.nodes import Node

_LIMIT = 100


class Findings:
    """Problems (each ends the load) and warnings, with line and path."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.warnings: list[str] = []
        self._problems: list[tuple[int, str, str]] = []

    @property
    def full(self) -> bool:
        """Whether there are so many problems that the collector ignores further ones."""
        return len(self._problems) >= _LIMIT

    def problem(self, node: Node, message: str, *, path: str | None = None) -> None:
        """Note a problem of a node, or of its field at ``path``."""
        entry = (node.line, node.path if path is None else path, message)
        if not self.full and entry not in self._problems:
            self._problems.append(entry)

    def warning(self, node: Node, message: str, *, path: str | None = None) -> None:
        """Note a warning; the load continues."""
        name = node.path if path is None else path
        text = f"{self.path}:{node.line}: {name}: {message}"
        if len(self.warnings) < _LIMIT and text not in self.warnings:
            self.warnings.append(text)

    @property
    def problems(self) -> list[tuple[int, str, str]]:
        """The noted problems: line, path, message."""
        return list(self._problems)

    def finish(self) -> None:
        """Raise an error if there are problems.

        Raises:
            errors.ConfigError: with all problems, in the order of the file.
        """
        if self._problems:
            raise failure(self.path, sorted(self._problems, key=lambda entry: entry[0]))


def failure(path: str, problems: list[tuple[int, str, str]]) -> errors.ConfigError:
    """Return the error for a file: lines ``FILE:LINE: path: message``, and the same as data."""
    lines = [
        f"{path}:{line}: {where}: {message}" if where else f"{path}:{line}: {message}"
        for line, where, message in problems
    ]
    return errors.ConfigError(
        "\n".join(lines),
        field=problems[0][1] or None,
        details={
            "file": path,
            "problems": [{"line": n, "path": where, "message": m} for n, where, m in problems],
        },
    )
