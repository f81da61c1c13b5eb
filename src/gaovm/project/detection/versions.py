"""Version requirements of projects, as far as a note needs them: what is the least version?"""

from __future__ import annotations

import re

Version = tuple[int, ...]
#: A requirement longer than this is not read.
_LONGEST = 200
_LEAST = re.compile(r"(>=|\^|~>|~=|~|==|=|>)?\s*v?(\d{1,4}(?:\.\d{1,4}){0,2})")


def least(requirement: object) -> Version | None:
    """Return the least version that a requirement allows; None when it names none.

    It knows ``>=3.11,<4``, ``^18 || >=20``, ``~> 3.2`` and ``1.22``. Upper bounds do not count.
    """
    if not isinstance(requirement, str) or len(requirement) > _LONGEST:
        return None
    found = [each for part in requirement.split("||") if (each := _of_part(part)) is not None]
    return min(found) if found else None


def note(name: str, requirement: object, there: Version, package: str = "") -> tuple[str, ...]:
    """Return a sentence if Debian's version is older than the project's least one; else none."""
    wanted = least(requirement)
    if wanted is None or wanted[: len(there)] <= there:
        return ()
    ours = package or f"{name} {_text(there)}"
    return (f"the project wants {name} {_text(wanted)} or newer; Debian 12 has {ours}",)


def _of_part(part: str) -> Version | None:
    """Return the lower bound of one alternative: its first version without ``<``."""
    position = 0
    while match := _LEAST.search(part, position):
        if not part[: match.start()].rstrip().endswith(("<", "<=", "!=", "!")):
            return tuple(map(int, match[2].split(".")))
        position = match.end()
    return None


def _text(version: Version) -> str:
    return ".".join(map(str, version))
