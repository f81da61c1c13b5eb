"""Which templates there are: the user's own in ``$GAOVM_HOME/templates``, and ours.

The command line loads this module to complete names, so it imports next to nothing.
"""
# pathlib costs 5 ms, and this module is on the path of completion
# ruff: noqa: PTH118

from __future__ import annotations

import os

from gaovm import errors
from gaovm.errors import suggestions
from gaovm.project import templates

DIRECTORY = "templates"
_MOST = 500
_DEEPEST = 4
_SHOWN = 20


def listed(home: str) -> list[tuple[str, str]]:
    """Return name and path of every template, ours with an empty path, sorted by name.

    A name that begins with ``_`` or ``.``, or lies in such a directory, is only for bases.
    """
    found = dict.fromkeys(templates.NAMES, "")
    root = os.path.join(home, DIRECTORY)
    for name, path in _walk(root, ""):
        found[name] = path
    return sorted(found.items())


def missing(home: str, name: str) -> errors.UsageError:
    """Return the error for a name that no template has."""
    names = [each for each, _ in listed(home)]
    return errors.UsageError(
        f"there is no template {name!r}",
        remedy=suggestions.did_you_mean(name, names)
        or f"use one of: {', '.join(names[:_SHOWN])}; yours lie in {os.path.join(home, DIRECTORY)}",
        actions=(errors.Action("list_templates"),),
    )


def path_of(home: str, name: str) -> str | None:
    """Return the file of the user's template of that name; None: there is none."""
    path = os.path.join(home, DIRECTORY, f"{name}.yaml")
    return path if os.path.isfile(path) else None  # noqa: PTH113


def _walk(directory: str, prefix: str) -> list[tuple[str, str]]:
    try:
        entries = sorted(os.scandir(directory), key=lambda entry: entry.name)
    except OSError:
        return []
    found: list[tuple[str, str]] = []
    for entry in entries:
        if entry.name.startswith(("_", ".")) or len(found) >= _MOST:
            continue
        if entry.is_dir():
            if prefix.count("/") < _DEEPEST:
                found += _walk(entry.path, f"{prefix}{entry.name}/")
        elif entry.name.endswith(".yaml"):
            found.append((prefix + entry.name.removesuffix(".yaml"), entry.path))
    return found[:_MOST]
