"""Tests that the documents name exist, and the documents contain no merge conflict."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / folder / "README.md" for folder in ("agent", "bench", "examples", "lima")),
    ]
)
#: Pages that are made whole from a protocol: no line of them is wide.
LISTS = {ROOT / "docs/reference" / f"{name}.md" for name in ("control-methods", "driver-protocol")}
TESTS = {path: path.read_text() for path in (ROOT / "tests").rglob("test_*.py")}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_document_has_no_conflict_marks(path: Path) -> None:
    marks = re.findall(r"^(?:<{7} |={7}$|>{7} ).*", path.read_text(), re.M)
    assert marks == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_lines_fit_100_columns(path: Path) -> None:
    """Rows of tables apart: Markdown cannot break a row, and whoever reads one compares its cells.

    The pages of protocols have a section for each row instead, with room for its fields.
    """
    lines = enumerate(path.read_text().splitlines(), 1)
    exempt = () if path in LISTS else ("|",)
    long = [number for number, line in lines if len(line) > 100 and not line.startswith(exempt)]
    assert not long, f"break lines {long}"


@pytest.mark.parametrize("document", ["security.md", "acceptance/project-vms.md"])
def test_every_test_that_a_document_names_exists(document: str) -> None:
    text = (ROOT / "docs" / document).read_text()
    named = re.findall(r"`((?:tests/[\w/]+\.py|test_\w+\.py)?(?:::)?(?:test_\w+)?)`", text)
    named = [word for word in named if word]
    assert len(named) > 30
    for word in named:
        file, _, name = word.partition("::")
        if not file.endswith(".py"):
            file, name = "", file or name
        where = [each for path, each in TESTS.items() if str(path).endswith("/" + file) or not file]
        assert where, f"there is no {file}"
        found = [each for each in where if not name or f"def {name}(" in each]
        assert found, f"{word} does not exist"
