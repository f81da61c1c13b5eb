"""Every path and every link in the documents leads to something that exists."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / ".github").rglob("*.md"),
        *(ROOT / folder / "README.md" for folder in ("agent", "bench", "examples")),
    ]
)
SOURCES = sorted(
    path
    for folder in ("src", "tests", "bench", "agent", "scripts", "examples")
    for path in (ROOT / folder).rglob("*")
    if path.is_file() and path.suffix in {".py", ".go", ".yaml", ".sh", ""}
)
#: Where a document's paths may start, besides the document's own directory.
BEGINNINGS = [ROOT, ROOT / "src", ROOT / "src" / "gaovm", ROOT / "agent", ROOT / "docs"]
#: Files that no checkout has: a user's, a state directory's, a build's; and a Go package.
NOT_OURS = re.compile(
    r"\.(lima|git)/.*|web/|dist/|vm_dir/.*|.*[{}<>*~$].*|(web|default|override|base|lima|lima\.REJECTED)?\.yaml|golang\.org/.*"
    r"|(config|pending_config|verified|lima-configs)\.json"
)
#: Lists the files of a state directory.
STATE_DIRECTORY = ROOT / "docs" / "state-dir.md"


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def text_of(path: Path) -> str:
    """Return a document without its code blocks: they show commands, output and other files."""
    return re.sub(r"^```.*?^```", "", path.read_text(), flags=re.M | re.S)


def paths_in(text: str) -> Iterator[str]:
    """Yield the text in backticks that looks like a path of the checkout."""
    for word in re.findall(r"`([\w./*-]+)(?:::\w+)?`", text):
        is_file = re.search(r"\.(py|go|md|json|toml|yaml|lock)$", word)
        inside = re.fullmatch(r"[\w.*-]+(/[\w.*-]+)*/?", word) and "/" in word
        if (is_file or inside) and not NOT_OURS.fullmatch(word):
            yield word


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_every_path_in_a_document_exists(path: Path) -> None:
    beginnings = [*BEGINNINGS, path.parent]
    lost = [
        word
        for word in paths_in(text_of(path))
        if not any((beginning / word).exists() for beginning in beginnings)
        and not (word.startswith("test_") and any((ROOT / "tests").rglob(word)))
    ]
    assert not lost or path == STATE_DIRECTORY, (
        f"{name_of(path)} names {lost}, which no usual directory has"
    )


def anchors_of(document: Path) -> set[str]:
    """Return what a link may name after ``#``: the anchors that the headings become."""
    found = set()
    for heading in re.findall(r"^#+ (.+)$", text_of(document), re.M):
        words = re.sub(r"[^\w\s-]", "", heading.replace("`", "").lower())
        found.add(words.strip().replace(" ", "-"))
    return found


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_every_link_in_a_document_leads_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(path)):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        there = path.parent / file if file else path
        assert there.exists(), f"{name_of(path)}: no {target}"
        assert not anchor or anchor in anchors_of(there), f"{name_of(path)}: no {target}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_every_link_to_a_decision_has_its_number(path: Path) -> None:
    for number, target in re.findall(r"\[decision (\d+)\]\(([^)]+)\)", path.read_text()):
        assert Path(target).name.startswith(f"{int(number):04d}-"), f"{number} is not {target}"


def test_every_document_that_the_code_names_exists() -> None:
    lost = [
        f"{name_of(path)}: {word}"
        for path in SOURCES
        for word in re.findall(r"(?<![\w/])docs/[\w/-]+\.md", path.read_text(errors="replace"))
        if not (ROOT / word).exists()
    ]
    assert not lost
