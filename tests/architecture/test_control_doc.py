"""``docs/reference/control-methods.md`` agrees with the table and the structs."""

from __future__ import annotations

from pathlib import Path

from gaovm.wire.control import page

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "control-methods.md"


def test_the_page_of_methods_is_up_to_date(regenerate: bool) -> None:
    text = page.render_markdown()
    if regenerate:
        PAGE.write_text(text)
    assert PAGE.read_text() == text
