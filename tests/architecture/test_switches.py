"""The table has every environment variable that the code reads, and the page comes from it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from gaovm import switches

ROOT = Path(__file__).resolve().parents[2]
SRC = ROOT / "src" / "gaovm"
PAGE = ROOT / "docs" / "environment.md"
_OURS = re.compile(r"GAOVM_[A-Z0-9_]+")


def docstrings(tree: ast.Module) -> set[ast.expr]:
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return {
        node.body[0].value
        for node in ast.walk(tree)
        if isinstance(node, kinds) and node.body and isinstance(node.body[0], ast.Expr)
    }


def is_environment(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "environ"


def key_of(node: ast.AST) -> ast.expr | None:
    """Return the name that a node looks up in the environment; None if it looks up none."""
    if isinstance(node, ast.Subscript) and is_environment(node.value):
        return node.slice
    if isinstance(node, ast.Compare) and is_environment(node.comparators[0]):
        return node.left
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return None
    asks = is_environment(node.func.value) or node.func.attr == "getenv"
    return node.args[0] if asks and node.args else None


def meanings(tree: ast.Module) -> dict[str, list[ast.expr]]:
    """Return what each name can mean: a module's constants, and what comprehensions run over."""
    found: dict[str, list[ast.expr]] = {}
    for statement in tree.body:
        for target in statement.targets if isinstance(statement, ast.Assign) else ():
            if isinstance(target, ast.Name) and isinstance(statement, ast.Assign):
                found.setdefault(target.id, []).append(statement.value)
    for node in ast.walk(tree):
        if isinstance(node, ast.comprehension) and isinstance(node.target, ast.Name):
            found.setdefault(node.target.id, []).append(node.iter)
    return found


def texts(node: ast.expr, known: dict[str, list[ast.expr]]) -> Iterator[str]:
    """Yield the texts that an expression can mean."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.Tuple):
        for part in node.elts:
            yield from texts(part, known)
    elif isinstance(node, ast.Name):
        for meaning in known.get(node.id, ()):
            yield from texts(meaning, known)


def read_in(path: Path) -> Iterator[str]:
    """Yield the variables that a module reads, and every other text that looks like one of ours."""
    tree = ast.parse(path.read_text())
    known, skipped = meanings(tree), docstrings(tree)
    for node in ast.walk(tree):
        if (key := key_of(node)) is not None:
            yield from texts(key, known)
        text = node.value if isinstance(node, ast.Constant) else None
        if isinstance(text, str) and node not in skipped:
            yield from _OURS.findall(text)


def read_by_the_agent() -> Iterator[str]:
    for path in (ROOT / "agent").rglob("*.go"):
        if not path.name.endswith("_test.go"):
            yield from re.findall(r'"(GAOVM_[A-Z0-9_]+)"', path.read_text())


def found() -> set[str]:
    sources = [path for path in SRC.rglob("*.py") if path != SRC / "switches.py"]
    names = {name for path in sources for name in read_in(path)}
    return names | set(read_by_the_agent())


def test_the_table_has_every_variable_that_is_read() -> None:
    assert found() - {switch.name for switch in switches.ALL} == set()


def test_every_variable_of_the_table_is_read() -> None:
    assert {switch.name for switch in switches.ALL} - found() == set()


def test_no_variable_is_in_the_table_twice() -> None:
    names = [switch.name for switch in switches.ALL]
    assert sorted(names) == sorted(set(names))


def test_the_page_is_up_to_date(regenerate: bool) -> None:
    text = switches.render_markdown()
    if regenerate:
        PAGE.write_text(text)
    assert PAGE.read_text() == text
