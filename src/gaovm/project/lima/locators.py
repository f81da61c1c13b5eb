"""Locators of bases and scripts: ``template:NAME``, a path, or a URL; relative -> absolute."""

from __future__ import annotations

import posixpath
import re

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")
_TEMPLATE = "template"


def scheme(locator: str) -> str:
    """Return the scheme in lower case; empty for a path."""
    match = _SCHEME.match(locator)
    return match[1].lower() if match else ""


def is_template(locator: str) -> bool:
    """Return whether the locator names a template (``template:NAME``, ``template://NAME``)."""
    return scheme(locator) == _TEMPLATE


def template_file(locator: str) -> str:
    """Return the file name of a template below its directory: ``_images/debian-13.yaml``.

    A name without an extension, or with one that is a number (``ubuntu-24.04``), gets ``.yaml``.

    Raises:
        ValueError: the name is empty, absolute, or leads out of the directory.
    """
    name = locator.partition(":")[2].removeprefix("//")
    parts = name.split("/")
    if not all(parts) or any(part.startswith(".") for part in parts):
        raise ValueError(f"`{locator}` is not the name of a template")
    extension = posixpath.splitext(name)[1]
    return name if extension and not extension[1].isdigit() else name + ".yaml"


def directory(locator: str) -> str:
    """Return what relative locators in a file are relative to: the locator without file name."""
    if not scheme(locator):
        return posixpath.dirname(locator)
    head, slashes, rest = locator.partition("://")
    if not slashes:
        head, _, rest = locator.partition(":")
    return head + (slashes or ":") + posixpath.dirname(rest)


def absolute(locator: str, base: str, home: str) -> str:
    """Return a locator that means the same everywhere. ``base`` is a ``directory``; ``~``: home.

    Raises:
        ValueError: the locator is empty or leads out of ``base``, in Lima's words.
    """
    if not locator:
        raise ValueError("locator is empty")
    if scheme(locator):
        return locator
    if locator == "~" or locator.startswith("~/"):
        return posixpath.normpath(home + locator[1:])
    if locator.startswith("/"):
        return posixpath.normpath(locator)
    if ".." in locator.split("/"):
        raise ValueError(f"relative locator path `{locator}` must not contain '..' path segments")
    locator = posixpath.normpath(locator)
    if base.endswith((":", "/")):
        return base + locator
    return f"{base}/{locator}"
