"""Generated parts of pages that are otherwise written by hand."""

from __future__ import annotations

import re
from pathlib import Path


def check(page: Path, name: str, text: str, *, regenerate: bool) -> None:
    """Hold the block ``name`` of a page against ``text``, or write it.

    A block stands between ``<!-- generated: NAME -->`` and ``<!-- end -->``.
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
