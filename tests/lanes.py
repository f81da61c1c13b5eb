"""The order in which tests run, and which tests stay together when workers share them.

With ``pytest -n 2 --dist loadscope`` one worker gets a whole group. The tests of one file are a
group: they share what its fixtures start. All tests that use the shared VM are one group, in
whichever file, so that it boots once. Every other test with real VMs is its own group. Long groups
come first: a worker that began one at the end would keep the others waiting.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).resolve().parents[1]
#: The first folder below tests/, in the order in which the folders run.
ORDER = ("crash", "e2e", "process", "unit", "golden", "architecture")
#: Files of tests with real VMs that keep something running for all of their tests.
SHARING_FILES = {"test_display.py", "test_session.py"}
#: The fixtures of the shared VM.
SHARED_VM = {"vm", "terminal"}


def group_of(nodeid: str) -> str:
    """Return the name of the group that a test belongs to."""
    file, _, function = nodeid.partition("::")
    path = Path(file)
    if path.parts[1:2] != ("e2e",) or path.name in SHARING_FILES:
        return file
    fixtures = fixtures_of(path).get(function.partition("[")[0], frozenset())
    return "tests/e2e" if fixtures & SHARED_VM else nodeid


@cache
def fixtures_of(path: Path) -> dict[str, frozenset[str]]:
    """Return, for each test of a file, the fixtures that it asks for."""
    tree = ast.parse((ROOT / path).read_text())
    return {
        node.name: frozenset(argument.arg for argument in node.args.args)
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def rank_of(nodeid: str) -> tuple[int, str]:
    """Return a test's place in the order: its folder; inside it, shared groups come first."""
    folder = Path(nodeid.partition("::")[0]).parts[1]
    place = ORDER.index(folder) if folder in ORDER else len(ORDER)
    return place, "" if group_of(nodeid) == "tests/e2e" else folder


def arrange(items: list[pytest.Item]) -> None:
    """Put tests in their order; inside a folder their order stays."""
    items.sort(key=lambda item: rank_of(item.nodeid))


def scheduler(config: pytest.Config, log: object) -> object:
    """Hands whole groups to workers."""
    from xdist.scheduler import LoadScopeScheduling

    made = LoadScopeScheduling(config, log)
    made._split_scope = group_of
    return made
