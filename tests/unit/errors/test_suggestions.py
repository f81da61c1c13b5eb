from __future__ import annotations

import ast
from pathlib import Path

import pytest

from gaovm.errors import suggestions

SRC = Path(__file__).parents[3] / "src" / "gaovm"


@pytest.mark.parametrize(
    ("word", "known", "near"),
    [
        ("web-dve", ["db-dev", "web-dev"], "web-dev"),
        ("MEMROY", ["cpus", "memory"], "memory"),
        ("mounttype", ["mountType"], "mountType"),
        ("web", ["db-dev", "web-dev"], "web-dev"),
        ("xyz", ["web-dev"], None),
        ("web", [], None),
    ],
)
def test_the_nearest_word(word: str, known: list[str], near: str | None) -> None:
    assert suggestions.nearest(word, known) == near


def test_did_you_mean() -> None:
    assert suggestions.did_you_mean("starrt", ["start"], "gaovm {}") == "did you mean gaovm start?"
    assert suggestions.did_you_mean("nothing", ["start"]) is None


def test_only_one_module_looks_for_similar_words() -> None:
    users = [
        path.relative_to(SRC).as_posix()
        for path in sorted(SRC.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr == "get_close_matches"
    ]
    assert users == ["errors/suggestions.py"]
