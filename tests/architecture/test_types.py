"""Data that leaves a module has its own type: this counts the uses of ``dict[str, Any]``."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import gaovm

SRC = Path(gaovm.__file__).parent
#: How many public signatures and public fields still use it. Lower this when there are fewer.
LIMIT = 11
#: Packages that really mean any JSON: the wire, the log of events, old peers, fakes.
ANY_JSON = ("ipc", "wire", "client", "daemon", "driver", "testing")


def files() -> list[Path]:
    """Return all modules except those of the command line and of the old protocol."""
    found = SRC.rglob("*.py")
    return sorted(path for path in found if not {"cli", "legacy"} & set(path.parts))


def is_public(name: str) -> bool:
    return not name.startswith("_") or name == "__init__"


def signatures(tree: ast.AST) -> Iterator[tuple[str, list[ast.expr]]]:
    """Yield the annotations of every public function and of every field of a class, with names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and is_public(node.name):
            given = node.args
            every = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
            said = [each.annotation for each in every if each is not None and each.annotation]
            yield node.name, [*said, *([node.returns] if node.returns else [])]
        elif isinstance(node, ast.ClassDef):
            for part in node.body:
                if isinstance(part, ast.AnnAssign):
                    yield f"{node.name}.{ast.unparse(part.target)}", [part.annotation]


def test_few_public_signatures_use_a_dict_of_any() -> None:
    found = [
        f"{path.relative_to(SRC)}: {name}"
        for path in files()
        for name, said in signatures(ast.parse(path.read_text()))
        if any("dict[str, Any]" in ast.unparse(each) for each in said)
    ]
    assert len(found) <= LIMIT, "\n".join(["give these a struct:", *found])


def test_only_some_packages_use_any_json() -> None:
    said = {
        path.relative_to(SRC).parts[0] for path in files() if "anyjson.Object" in path.read_text()
    }
    assert said <= set(ANY_JSON)
