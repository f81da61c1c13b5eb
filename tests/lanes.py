"""In which order tests run, and which of them stay together when workers share them.

``pytest -n 2 --dist loadgroup`` gives a whole group to one worker. Tests of one file are a group:
they share what its fixtures start. Tests that use the shared VM are one group wherever they stand,
so that it boots once; every other test with real VMs is a group of its own. Long groups come first:
a worker that began one at the end would keep the others waiting.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
#: The first folder below tests/, in the order in which they run.
ORDER = ("crash", "e2e", "process", "unit", "golden", "architecture")
#: Tests with real VMs whose file keeps something running for all of them.
SHARING_FILES = {"test_display.py"}


def group_of(item: pytest.Item) -> str:
    """The name of the group that a test belongs to."""
    path = item.path.relative_to(HERE)
    if path.parts[0] == "e2e" and path.name not in SHARING_FILES:
        fixtures = getattr(item, "fixturenames", ())
        # the scheduler takes what follows the last "@" after the last "]" for the group
        return "e2e/vm" if "vm" in fixtures else re.sub(r"[\[\]@]", "_", item.nodeid)
    return str(path)


def rank_of(item: pytest.Item) -> tuple[int, bool]:
    """The place of a test in the order: its folder, in which shared things come first."""
    folder = item.path.relative_to(HERE).parts[0]
    place = ORDER.index(folder) if folder in ORDER else len(ORDER)
    return place, not group_of(item).startswith("e2e/vm")


def arrange(items: list[pytest.Item]) -> None:
    """Mark every test with its group and put them in order; same groups stay in their order."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(group_of(item)))
    items.sort(key=rank_of)
