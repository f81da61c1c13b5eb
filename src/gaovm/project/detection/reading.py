"""The formats of a project's files, read with bounds."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping

from gaovm.project import nodes

#: So much of a project is read at most, counted in lists of dependencies and lines.
MAX_ENTRIES = 5000
#: tomllib needs a time that grows with the square of a dotted key's length.
_MAX_TOML_LINE = 4 << 10


class Unreadable(Exception):
    """A file does not have its format. Internal: ``detect`` lists the file instead."""


def json_table(text: str) -> Mapping[str, object]:
    """Parse a JSON object.

    Raises:
        Unreadable: it is none.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise Unreadable from exc
    return found if isinstance(found, dict) else {}


def toml_table(text: str) -> Mapping[str, object]:
    """Parse a TOML document.

    Raises:
        Unreadable: it is none, or has a line of more than 4 KiB.
    """
    if any(len(line) > _MAX_TOML_LINE for line in text.splitlines()):
        raise Unreadable
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as exc:
        raise Unreadable from exc


def yaml_table(text: str) -> nodes.Table:
    """Parse a YAML mapping, with the bounds of our own configs.

    Raises:
        Unreadable: it is none, or exceeds the bounds.
    """
    try:
        return nodes.parse(text)
    except nodes.Malformed as exc:
        raise Unreadable from exc


def table(parent: object, *keys: str) -> Mapping[str, object]:
    """Return the table below keys of nested tables; an empty one where there is none."""
    for key in keys:
        parent = parent.get(key) if isinstance(parent, dict) else None
    return parent if isinstance(parent, dict) else {}


def words(value: object) -> list[str]:
    """Return the texts of a list; an empty list for anything else."""
    items = value[:MAX_ENTRIES] if isinstance(value, list) else []
    return [item for item in items if isinstance(item, str)]


def requirement_names(lines: list[str]) -> set[str]:
    """Return the normalized names of Python requirements: ``Psycopg2-Binary[c]>=2`` has one.

    The normal form is that of PEP 503: lower case, with ``-`` between words.
    """
    found = set()
    for line in lines[:MAX_ENTRIES]:
        if match := re.match(r"\s*([A-Za-z0-9][A-Za-z0-9._-]{0,99})", line):
            found.add(re.sub(r"[-_.]+", "-", match[1]).lower().strip("-"))
    return found
