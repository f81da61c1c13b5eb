"""Print the lowest versions that pyproject.toml allows, as requirements for pip.

What GaoVM depends on, and what its unit tests need beside it.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"
#: Of the group ``dev``: what the unit tests import.
TESTS = {"pytest", "pytest-asyncio", "pytest-timeout", "hypothesis", "jsonschema"}


def lowest(requirement: str) -> tuple[str, str]:
    """``h2>=4.2`` as (``h2``, ``4.2``)."""
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
