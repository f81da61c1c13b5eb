"""In which order tests run, and which of them stay together when workers share them.

With ``pytest -n 2 --dist loadscope`` a whole group goes to one worker. Tests of one file are a
group: they share what its fixtures start. Tests that use the shared VM are one group wherever they
stand, so that it boots once; every other test with real VMs is a group of its own. Long groups come
first: a worker that began one at the end would keep the others waiting.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).resolve().parents[1]
#: The first folder below tests/, in the order in which they run.
ORDER = ("crash", "e2e", "process", "unit", "golden", "architecture")
#: Tests with real VMs whose file keeps something running for all of them.
SHARING_FILES = {"test_display.py"}
#: The fixtures of the shared VM.
SHARED_VM = {"vm", "terminal"}


def group_of(nodeid: str) -> str:
    """The name of the group that a test belongs to."""
    file, _, function = nodeid.partition("::")
    path = Path(file)
    if path.parts[1:2] != ("e2e",) or path.name in SHARING_FILES:
        return file
    fixtures = fixtures_of(path).get(function.partition("[")[0], frozenset())
    return "tests/e2e" if fixtures & SHARED_VM else nodeid


@cache
def fixtures_of(path: Path) -> dict[str, frozenset[str]]:
    """Of each test of a file, what it asks for."""
    tree = ast.parse((ROOT / path).read_text())
    return {
        node.name: frozenset(argument.arg for argument in node.args.args)
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def rank_of(nodeid: str) -> tuple[int, str]:
    """The place of a test in the order: its folder, in which what is shared comes first."""
    folder = Path(nodeid.partition("::")[0]).parts[1]
    place = ORDER.index(folder) if folder in ORDER else len(ORDER)
    return place, "" if group_of(nodeid) == "tests/e2e" else folder


def arrange(items: list[pytest.Item]) -> None:
    """Put tests in their order; within a folder they stay as they were."""
    items.sort(key=lambda item: rank_of(item.nodeid))


def scheduler(config: pytest.Config, log: object) -> object:
    """Hands whole groups to workers."""
    from xdist.scheduler import LoadScopeScheduling

    made = LoadScopeScheduling(config, log)
    made._split_scope = group_of
    return made
