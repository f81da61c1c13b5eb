"""The host's time zone, and the rules of any zone that the host knows."""

from __future__ import annotations

import os
from pathlib import Path

DIRECTORY = Path("/usr/share/zoneinfo")
LOCAL = Path("/etc/localtime")
NAMED = Path("/etc/timezone")
_MARK = "zoneinfo/"
#: A zone's file has 3 KiB at most.
MAX_BYTES = 64 << 10
#: How such a file begins (RFC 8536).
_MAGIC = b"TZif"


def of_host() -> str:
    """Return the name of the host's zone, as the zone database has it; empty: it cannot be told."""
    try:
        target = str(LOCAL.readlink())
    except OSError:
        target = ""
    name = target.partition(_MARK)[2]
    if not name:
        try:
            with NAMED.open("rb") as file:
                name = file.read(256).decode("ascii", "replace").strip()
        except OSError:
            return ""
    return name if data(name) is not None else ""


def data(name: str) -> bytes | None:
    """Return the rules of a zone (TZif); None: the host does not know it."""
    path = DIRECTORY / name
    if not name or ".." in path.parts or not path.is_relative_to(DIRECTORY):
        return None
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(fd, "rb") as file:
            found = file.read(MAX_BYTES + 1)
    except (OSError, ValueError):
        return None
    return found if found.startswith(_MAGIC) and len(found) <= MAX_BYTES else None
