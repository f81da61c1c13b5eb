"""Parts of the reference pages, wrapped at 100 columns: a heading, prose, and a block of fields."""

from __future__ import annotations

import textwrap

_WIDTH = 100


def section(heading: str, about: str, *fields: str) -> str:
    """A heading with its marks, what it is about, and a block with each of ``fields``."""
    parts = [heading, *([prose(about)] if about else []), *([block(*fields)] if fields else [])]
    return "\n\n".join(parts) + "\n"


def prose(text: str) -> str:
    """One paragraph of a docstring or of a table's row."""
    return _wrapped(" ".join(text.replace("``", "`").split()))


def block(*fields: str) -> str:
    """A block of code; what does not fit into a line goes on in the next one, indented."""
    lines = "\n".join(_wrapped(each, " ") for each in fields)
    return f"```\n{lines}\n```"


def _wrapped(text: str, indent: str = "") -> str:
    return textwrap.fill(
        text,
        _WIDTH,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
