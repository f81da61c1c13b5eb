"""``docs/lima.md`` is what the tables of Lima's format say."""

from __future__ import annotations

from pathlib import Path

from gaovm.project import support_page

PAGE = Path(__file__).resolve().parents[2] / "docs" / "lima.md"


def test_lima_page_is_up_to_date(regenerate: bool) -> None:
    text = support_page.render_markdown()
    if regenerate:
        PAGE.write_text(text)
    assert PAGE.read_text() == text
