"""ARCHITECTURE.md's tree shows all packages, and package docstrings name only what exists."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from gaovm.cli import catalog

ROOT = Path(__file__).resolve().parents[2]
SRC = ROOT / "src" / "gaovm"
PACKAGES = sorted(path.parent for path in SRC.rglob("__init__.py"))
#: Words of docstrings that look like names and are none: a protocol, a VM's id.
OTHER_WORDS = {"gaovm.v1.2", "gaovm.driver.v1", "gaovm.control.v1", "default"}


def drawn() -> list[Path]:
    """Return the directories in ARCHITECTURE.md's tree, as paths from the checkout's root."""
    text = (ROOT / "ARCHITECTURE.md").read_text().partition("## The tree")[2]
    found: list[Path] = []
    parents: list[tuple[int, Path]] = []
    for line in text.split("```")[1].strip().splitlines():
        match = re.match(r"( *)([\w./]+/)", line)
        if match is None:
            continue
        indent = len(match[1])
        parents = [(depth, path) for depth, path in parents if depth < indent]
        path = (parents[-1][1] if parents else ROOT) / match[2]
        parents.append((indent, path))
        found.append(path)
    return found


def test_the_tree_shows_every_package_and_no_other() -> None:
    below = {path for path in drawn() if path == SRC or SRC in path.parents}
    lacking = set(PACKAGES) - below
    assert not lacking, f"give each a line in ARCHITECTURE.md, The tree: {sorted(lacking)}"
    wrong = {path for path in below if not (path / "__init__.py").exists()}
    assert not wrong, f"ARCHITECTURE.md shows packages that do not exist: {sorted(wrong)}"


def test_the_tree_shows_only_directories_that_exist() -> None:
    assert [path for path in drawn() if not path.is_dir()] == []
    assert len(drawn()) == len(set(drawn()))


@cache
def defined(module: Path) -> frozenset[str]:
    """Return every name that a module defines, at any depth."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.add(node.target.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            found.add(node.attr)
    return frozenset(found)


def exists_below(package: Path, parts: list[str]) -> bool:
    """Tell whether ``parts`` lead from a package to a package, a module, or a name in one."""
    while parts and (package / parts[0] / "__init__.py").exists():
        package, parts = package / parts[0], parts[1:]
    if not parts:
        return True
    module = package / f"{parts[0]}.py"
    if module.exists():
        return len(parts) == 1 or parts[1] in defined(module)
    return False


def is_known(package: Path, word: str) -> bool:
    if word in catalog.COMMANDS:
        return True
    if word in {name for module in package.glob("*.py") for name in defined(module)}:
        return True
    above = [path for path in (package, *package.parents) if path == SRC or SRC in path.parents]
    return any(exists_below(path, word.split(".")) for path in above)


def unknown(package: Path) -> list[str]:
    """The names in a package's docstring that nothing in the code has."""
    text = ast.get_docstring(ast.parse((package / "__init__.py").read_text())) or ""
    words = [word for quoted in re.findall(r"``([^`]+)``", text) for word in quoted.split()]
    names = [word for word in words if re.fullmatch(r"[A-Za-z_]\w*(\.\w+)*", word)]
    names = [word for word in names if not word.isupper() and not word.endswith(".md")]
    return [word for word in names if not is_known(package, word)]


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: str(path.relative_to(SRC.parent)))
def test_what_a_package_docstring_names_exists(package: Path) -> None:
    wrong = [word for word in unknown(package) if word not in OTHER_WORDS]
    assert not wrong, f"{package.relative_to(ROOT)}/__init__.py names {wrong}"


def test_every_other_word_is_needed() -> None:
    needed = {word for package in PACKAGES for word in unknown(package)}
    stale = sorted(OTHER_WORDS - needed)
    assert not stale, f"no docstring needs them any more; remove from OTHER_WORDS: {stale}"
