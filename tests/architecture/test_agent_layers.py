"""The agent's packages import only lower layers; ``agent/README.md`` lists the layers."""

from __future__ import annotations

import re
from pathlib import Path

AGENT = Path(__file__).resolve().parents[2] / "agent"
MODULE = "gaovm/agent/"
# What a package may import besides the standard library, whose paths have no dot.
FOREIGN = {"golang.org/x/sys/unix"}
_BLOCK = re.compile(r"^import \((.*?)^\)|^import (\"[^\"]+\")", re.M | re.S)
_IMPORT = re.compile(r'^\s*(?:[\w.]+ )?"([^"]+)"', re.M)


def layers() -> list[list[str]]:
    """Return the rows of the README's table, highest first."""
    text = (AGENT / "README.md").read_text().partition("| layer |")[2].partition("\n\n")[0]
    rows = [line.split("|")[2] for line in text.splitlines()[2:]]
    names = [re.findall(r"`([^`]+)`", row) for row in rows]
    return [[n if n.startswith("cmd/") else f"internal/{n}" for n in row] for row in names]


def packages() -> dict[str, set[str]]:
    """Return each package's directory, and what its files import (tests too)."""
    found: dict[str, set[str]] = {}
    for path in AGENT.rglob("*.go"):
        here = found.setdefault(path.parent.relative_to(AGENT).as_posix(), set())
        for block, single in _BLOCK.findall(path.read_text()):
            here.update(_IMPORT.findall(block or single))
    return found


def test_every_package_has_a_layer() -> None:
    listed = [name for row in layers() for name in row]
    assert sorted(listed) == sorted(packages())


def test_packages_import_lower_layers_only() -> None:
    depth = {name: at for at, row in enumerate(layers()) for name in row}
    upward = [
        f"{name} imports {other}"
        for name, imported in packages().items()
        for other in (path.removeprefix(MODULE) for path in imported if path.startswith(MODULE))
        if depth[other] <= depth[name]
    ]
    assert upward == []


def test_the_agent_needs_only_the_standard_library_and_x_sys() -> None:
    foreign = {
        path
        for imported in packages().values()
        for path in imported
        if "." in path.partition("/")[0]
    }
    assert foreign == FOREIGN


def test_every_package_says_what_it_is_for() -> None:
    for name in packages():
        texts = [path.read_text() for path in (AGENT / name).glob("*.go")]
        heads = re.findall(
            r"^// (Package|Command) (\S+) .+(?:\n//.*)*\npackage ", "\n".join(texts), re.M
        )
        kind = "Command" if name.startswith("cmd/") else "Package"
        assert heads == [(kind, name.rpartition("/")[2])], name
