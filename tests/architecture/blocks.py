"""Generated parts of pages that people otherwise write by hand."""

from __future__ import annotations

import re
from pathlib import Path


def check(page: Path, name: str, text: str, *, regenerate: bool) -> None:
    """Compare the block ``name`` of a page with ``text``, or write it.

    A block is between ``<!-- generated: NAME -->`` and ``<!-- end -->``.
    """
    begin = f"<!-- generated: {name} -->\n"
    pattern = re.compile(re.escape(begin) + r"(.*?)<!-- end -->\n", re.DOTALL)
    content = page.read_text()
    found = pattern.search(content)
    assert found is not None, f"{page.name} has no block {name}"
    if regenerate:
        at, to = found.span(1)
        page.write_text(content[:at] + text + content[to:])
        return
    assert found[1] == text
