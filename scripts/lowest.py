"""Print the lowest versions that pyproject.toml allows, as requirements for pip.

It lists GaoVM's dependencies and what its unit tests need besides.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"
#: The part of the group ``dev`` that the unit tests import.
TESTS = {"pytest", "pytest-asyncio", "pytest-timeout", "hypothesis", "jsonschema"}


def lowest(requirement: str) -> tuple[str, str]:
    """Split ``h2>=4.2`` into ``h2`` and ``4.2``."""
    match = re.fullmatch(r"([\w.-]+)>=([\w.]+)(,.*)?", requirement)
    if match is None:
        raise SystemExit(f"pyproject.toml: {requirement!r} states no lowest version")
    return match[1], match[2]


def main() -> None:
    project = tomllib.loads(PROJECT.read_text())
    wanted = [lowest(each) for each in project["project"]["dependencies"]]
    tools = [lowest(each) for each in project["dependency-groups"]["dev"]]
    wanted += [(name, version) for name, version in tools if name in TESTS]
    for name, version in wanted:
        print(f"{name}=={version}")


if __name__ == "__main__":
    main()
