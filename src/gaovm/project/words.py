"""The words that ``gaovm set`` takes, besides ``env.NAME``.

Completion loads this module: it loads only the table of fields, and no reader of files.
"""

from __future__ import annotations

from gaovm.project import schema

#: Top-level words that can be overridden; the user sets all others in the file.
TOP = ("cpus", "memory", "disk")


def every() -> list[str]:
    """Return every word, without those of ``env``."""
    own = [word for word in _own("GaoVM") if word != "name"]  # a VM keeps its name
    return [*TOP, *own]


def _own(struct: str, prefix: str = "") -> list[str]:
    found = []
    for key, kind in schema.STRUCTS[struct].items():
        if isinstance(kind, schema.Struct):
            found += _own(kind.name, f"{prefix}{key}.")
        else:
            found.append(prefix + key)
    return found
