"""Subordinate user and group ids, which let a plain user build images without root."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import NamedTuple

NEEDED = 65536
#: This command gives the caller a range.
REMEDY = "sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $USER"
_SUBUID, _SUBGID = Path("/etc/subuid"), Path("/etc/subgid")
_LIMIT = 4 << 20


class Range(NamedTuple):
    """A range of ids that belongs to a user: the first one, and how many."""

    first: int
    size: int


def parse(text: str, name: str, uid: int) -> list[Range]:
    """Return a user's ranges in the text of /etc/subuid or /etc/subgid; skip bad lines."""
    found = []
    for line in text.splitlines():
        owner, _, rest = line.partition(":")
        start, _, count = rest.partition(":")
        if owner in (name, str(uid)) and start.isdecimal() and count.isdecimal():
            found.append(Range(int(start), int(count)))
    return found


def ranges(path: Path, uid: int | None = None) -> list[Range]:
    """Return a user's ranges (default: the caller's) in a file; none if it cannot be read."""
    number = os.geteuid() if uid is None else uid
    try:
        name = pwd.getpwuid(number).pw_name
    except KeyError:
        name = str(number)
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return parse(file.read(_LIMIT), name, number)
    except OSError:
        return []


def obstacle() -> str | None:
    """Say why the caller's subordinate ids are too few; None if they are enough."""
    for path in (_SUBUID, _SUBGID):
        largest = max((entry.size for entry in ranges(path)), default=0)
        if largest < NEEDED:
            return f"{path} gives this user {largest} ids in a row, {NEEDED} are needed"
    return None
