"""Errors name actions, front ends name commands: the table, its users and how the CLI shows it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from gaovm import errors
from gaovm.cli import actions as rendering
from gaovm.cli import catalog, reference
from gaovm.errors import actions

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src" / "gaovm"
PAGE = ROOT / "docs" / "reference" / "actions.md"
#: Values of arguments in these tests; every other argument gets a VM's name.
VALUES = {"timeout": "5m"}
FILES = sorted(SRC.rglob("*.py"))
#: A command of the command line in a text, even if code adds the rest of it later.
COMMAND = re.compile(
    rf"gaovm (?:{'|'.join({name.split()[0] for name in catalog.COMMANDS})}|help|-)"
)


def trees() -> Iterator[tuple[Path, ast.Module]]:
    for path in FILES:
        yield path, ast.parse(path.read_text())


def docstrings(tree: ast.Module) -> set[ast.expr]:
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return {
        node.body[0].value
        for node in ast.walk(tree)
        if isinstance(node, kinds) and node.body and isinstance(node.body[0], ast.Expr)
    }


def uses() -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Yield every ``Action("code", …)`` in the source: its place, its code, its arguments."""
    for path, tree in trees():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if name != "Action" or not node.args:
                continue
            where = f"{path.relative_to(SRC)}:{node.lineno}"
            code = node.args[0]
            if isinstance(code, ast.Constant) and isinstance(code.value, str):
                yield where, code.value, tuple(each.arg for each in node.keywords if each.arg)


USES = list(uses())


def test_the_code_uses_actions() -> None:
    assert len(USES) > 40


@pytest.mark.parametrize(("where", "code", "args"), USES, ids=lambda each: str(each))
def test_a_used_action_exists_and_takes_these_arguments(
    where: str, code: str, args: tuple[str, ...]
) -> None:
    known = actions.KNOWN[code]
    assert set(known.needs) <= set(args) <= {*known.needs, *known.may}, where


def test_every_action_is_used() -> None:
    # the window's process writes its error as JSON, because it imports none of our modules
    assert actions.KNOWN.keys() == {code for _, code, _ in USES} | {"take_screenshot"}


def test_the_command_line_renders_every_action_and_no_other() -> None:
    assert list(rendering.COMMANDS) == list(actions.KNOWN)


@pytest.mark.parametrize("code", actions.KNOWN)
@pytest.mark.parametrize("complete", [False, True], ids=["short", "complete"])
def test_every_rendering_is_a_command_that_parses(code: str, complete: bool) -> None:
    known = actions.KNOWN[code]
    wanted = {*known.needs, *(known.may if complete else ())}
    action = errors.Action(code, **{name: VALUES.get(name, "web-dev") for name in wanted})
    command, words = catalog.find(rendering.words(action))
    assert command is not None
    command.parse(words)
    line = " ".join(rendering.words(action))
    assert all(value in line for value in action.args.values())


def test_only_the_command_line_names_its_commands() -> None:
    found = []
    for path, tree in trees():
        if path.is_relative_to(SRC / "cli"):
            continue
        skipped = docstrings(tree)
        for node in ast.walk(tree):
            if not isinstance(node, ast.Constant) or node in skipped:
                continue
            if isinstance(node.value, str) and COMMAND.search(node.value):
                found.append(f"{path.relative_to(SRC)}:{node.lineno}: {node.value!r}")
    assert found == []


def test_the_page_of_actions_is_up_to_date(regenerate: bool) -> None:
    text = reference.actions_page()
    if regenerate:
        PAGE.write_text(text)
    assert PAGE.read_text() == text
