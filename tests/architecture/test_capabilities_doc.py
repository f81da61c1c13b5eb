"""``docs/reference/capabilities.md`` agrees with the table, and the table is complete."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from gaovm.builder import backends, capabilities_page
from gaovm.ipc import methods
from gaovm.model import capabilities
from gaovm.wire.driver import table

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "capabilities.md"


def test_capabilities_page_is_up_to_date(regenerate: bool) -> None:
    text = capabilities_page.render_markdown()
    if regenerate:
        PAGE.write_text(text)
    assert PAGE.read_text() == text


def test_every_method_of_a_driver_is_in_one_row() -> None:
    named = Counter(method for row in capabilities.FEATURES for method in row.methods)
    served = set(table.NAMES) - {methods.HELLO, methods.PING}
    assert set(named) == served
    assert set(named.values()) == {1}


def test_back_ends_offer_rows_of_the_table() -> None:
    names = [row.name for row in capabilities.FEATURES]
    assert len(names) == len(set(names))
    for backend in backends.BACKENDS:
        assert backend.offers | set(backend.limits) <= set(names)
        assert bool(backend.offers) == backend.present
