"""``docs/reference/states.md`` agrees with the transition table."""

from __future__ import annotations

from pathlib import Path

from gaovm.model import states_page

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "states.md"


def test_states_page_is_up_to_date(regenerate: bool) -> None:
    text = states_page.render_markdown()
    if regenerate:
        PAGE.write_text(text)
    assert PAGE.read_text() == text
