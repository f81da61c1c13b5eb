"""``docs/reference/driver-protocol.md`` agrees with the table and the structs."""

from __future__ import annotations

from pathlib import Path

from gaovm.wire.driver import page

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "driver-protocol.md"


def test_the_page_of_the_drivers_protocol_is_up_to_date(regenerate: bool) -> None:
    text = page.render_markdown()
    if regenerate:
        PAGE.write_text(text)
    assert PAGE.read_text() == text
