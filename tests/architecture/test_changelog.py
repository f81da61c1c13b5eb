"""The changelog follows Keep a Changelog, and names the package's version."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from gaovm import version

ROOT = Path(__file__).resolve().parents[2]
KINDS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_headings() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    versions = re.findall(r"^## \[(.+?)\]", text, re.M)
    assert versions, "no version headings"
    assert versions[0] == "Unreleased"
    assert set(re.findall(r"^### (.+)$", text, re.M)) <= KINDS


def test_decisions_are_numbered_without_gaps() -> None:
    names = sorted(p.name for p in (ROOT / "docs" / "decisions").glob("*.md"))
    assert [n[:4] for n in names] == [f"{i:04d}" for i in range(1, len(names) + 1)]


def test_project_metadata() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["license"] == "Apache-2.0"
    assert project["requires-python"] == ">=3.11"


def test_agent_has_the_version_of_the_package() -> None:
    stated = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f'"{stated}"' in (ROOT / "agent" / "cmd" / "gaovm-agent" / "main.go").read_text()


def test_code_has_the_version_of_the_package() -> None:
    stated = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert stated == version.VERSION
