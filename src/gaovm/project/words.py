"""The words that ``gaovm set`` takes, besides ``env.NAME``.

Completion loads this module: it loads only the table of fields, and no reader of files.
"""

from __future__ import annotations

from gaovm.project import schema

#: Top-level words that can be overridden; the user sets all others in the file.
TOP = ("cpus", "memory", "disk")
#: A VM keeps its name, and the commands of ``sysinit-vm`` are read from the file.
_ONLY_IN_FILES = ("name", "sync", "rebuild")


def every() -> list[str]:
    """Return every word, without those of ``env``."""
    own = [word for word in _own("GaoVM") if word not in _ONLY_IN_FILES]
    return [*TOP, *own]


def _own(struct: str, prefix: str = "") -> list[str]:
    found = []
    for key, kind in schema.STRUCTS[struct].items():
        if isinstance(kind, schema.Struct):
            found += _own(kind.name, f"{prefix}{key}.")
        else:
            found.append(prefix + key)
    return found
