"""Versions in dotted form: Lima's own, ``minimumLimaVersion``, QEMU's."""

from __future__ import annotations

import re

#: The version of Lima whose format this package reads.
LIMA = "2.2.0"
_PARTS = re.compile(r"([0-9]{1,9})\.([0-9]{1,9})\.([0-9]{1,9})\Z")


def parse(text: str) -> tuple[int, int, int]:
    """Return the three numbers; what follows a dash or a plus does not count.

    Raises:
        ValueError: the text is no version, in Lima's words.
    """
    number = re.split(r"[-+]", text.removeprefix("v"), maxsplit=1)[0]
    match = _PARTS.match(number)
    if match is None:
        raise ValueError(f"{text[:60]} is not in dotted-tri format")
    return int(match[1]), int(match[2]), int(match[3])


def newer(one: str, other: str) -> bool:
    """Return whether ``one`` is newer than ``other``; a text that is no version is not."""
    try:
        return parse(one) > parse(other)
    except ValueError:
        return False


def refusal(minimum: str, current: str = LIMA) -> tuple[str, str] | None:
    """Return what is wrong with ``minimumLimaVersion``, and what to do; None: nothing.

    A current version that is none, such as a commit's hash, passes as the newest.
    """
    try:
        parse(minimum)
    except ValueError as exc:
        what = f"must be a semvar value, got `{minimum[:60]}`: {exc}"
        return f"field `minimumLimaVersion` {what}", "write three numbers, such as 2.0.0"
    if newer(minimum, current):
        what = f"template requires Lima version `{minimum}`; this is only `{current}`"
        return what, "install a newer GaoVM, or take out what the older format does not know"
    return None
