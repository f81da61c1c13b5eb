"""Note a problem in Lima's words: the place is ours, the sentence is Lima's."""

from __future__ import annotations

from gaovm.project.nodes import Node
from gaovm.project.problems import Findings


class Report:
    """Adds Lima's sentence to each problem."""

    def __init__(self, found: Findings) -> None:
        self._found = found

    def field(
        self,
        node: Node,
        message: str,
        remedy: str,
        *,
        path: str | None = None,
        sentence: str | None = None,
    ) -> None:
        """Note that a field has a wrong value. ``sentence``: the path as Lima writes it."""
        where = node.path if path is None else path
        lima = f"field `{sentence or where}` {message}"
        self._found.problem(node, message, path=path, remedy=remedy, lima=lima)

    def sentence(
        self,
        node: Node,
        lima: str,
        remedy: str,
        *,
        path: str | None = None,
        message: str | None = None,
    ) -> None:
        """Note a problem whose sentence has another form; ``message``: ours, without the path."""
        where = node.path if path is None else path
        ours = lima.removeprefix(f"field `{where}` ") if message is None else message
        self._found.problem(node, ours, path=path, remedy=remedy, lima=lima)
