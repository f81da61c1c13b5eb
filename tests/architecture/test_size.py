"""The size limits: 450 lines a file (500 in tests), 50 a function, 20 files a package."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PYTHON = sorted(p for d in ("src", "tests", "bench") for p in (ROOT / d).rglob("*.py"))
GO = sorted((ROOT / "agent").rglob("*.go"))
FILE_LINES = 500
#: Split a source file by idea before it comes near 500 lines.
SOURCE_LINES = 450
FUNCTION_LINES = 50
PACKAGE_FILES = 20
#: One file for each command is easier to find than packages of commands.
FLAT = {"src/gaovm/cli/commands"}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", [*PYTHON, *GO], ids=name_of)
def test_file_fits_the_budget(path: Path) -> None:
    lines = path.read_text().count("\n")
    limit = SOURCE_LINES if "src" in path.parts else FILE_LINES
    assert lines <= limit, f"{name_of(path)} has {lines} lines"


def test_a_package_has_few_files() -> None:
    packages = {path.parent for path in PYTHON if "src" in path.parts}
    sizes = {name_of(package): len(list(package.glob("*.py"))) for package in packages}
    large = {name: n for name, n in sizes.items() if n > PACKAGE_FILES and name not in FLAT}
    assert not large, "split by idea into packages"


@pytest.mark.parametrize("path", [p for p in PYTHON if "src" in p.parts], ids=name_of)
def test_functions_fit_the_budget(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            doc = ast.get_docstring(node, clean=False) or ""
            end = node.end_lineno or node.lineno
            lines = end - node.lineno + 1 - doc.count("\n")
            assert lines <= FUNCTION_LINES, f"{node.name} has {lines} lines"


@pytest.mark.parametrize("path", GO, ids=name_of)
def test_go_functions_fit_the_budget(path: Path) -> None:
    start, name = 0, ""
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.startswith("func "):
            start, name = number, line
        elif line == "}" and start:
            assert number - start + 1 <= FUNCTION_LINES + 2, name
            start = 0


def test_package_roots_hold_only_a_docstring() -> None:
    for path in sorted((ROOT / "src" / "gaovm").rglob("__init__.py")):
        body = ast.parse(path.read_text()).body
        if path.parent.name == "errors":  # one file per family, one name to import them all
            body = [node for node in body if not isinstance(node, ast.ImportFrom | ast.Assign)]
        assert len(body) == 1, f"{name_of(path)} contains code"
        assert ast.get_docstring(ast.parse(path.read_text())), name_of(path)


def test_no_module_has_a_vague_name() -> None:
    banned = {"utils", "util", "helpers", "helper", "misc", "common"}
    found = [name_of(p) for p in PYTHON if p.stem in banned]
    assert not found
