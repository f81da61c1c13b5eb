"""Colour text for people at a terminal; never in pipes and files, with NO_COLOR or TERM=dumb.

Only finished text of our own comes here. ``output`` has made a guest's text harmless before.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

BOLD, DIM, RED, GREEN, YELLOW = "1", "2", "31", "32", "33"
#: Word of a state or a check -> its colour.
WORDS = {
    "running": GREEN,
    "ready": GREEN,
    "ok": GREEN,
    "listening": GREEN,
    "stopped": DIM,
    "failed": RED,
    "first-up-failed": RED,
    "degraded": RED,
    "FAIL": RED,
    "paused": YELLOW,
    "starting": YELLOW,
    "stopping": YELLOW,
    "restarting": YELLOW,
    "warn": YELLOW,
}


def wanted(stream: TextIO) -> bool:
    """Tell whether the stream's reader wants colour (no-color.org: empty NO_COLOR is unset)."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM", "dumb") == "dumb":
        return False
    return stream.isatty()


def paint(text: str, style: str) -> str:
    """Return the text in a style."""
    return f"\x1b[{style}m{text}\x1b[0m" if text else text


def column(table: str, head: str, stream: TextIO) -> str:
    """Colour a finished table: its head in bold, and the state words of one column."""
    if not wanted(stream):
        return table
    first, *lines = table.split("\n")
    at = first.find(head)
    painted = [paint(first, BOLD)]
    for line in lines:
        word = line[at:].partition(" ")[0]
        painted.append(line[:at] + _word(word) + line[at + len(word) :])
    return "\n".join(painted)


def words_at(text: str, at: int, stream: TextIO) -> str:
    """Colour the word at an offset of each line, if it is a state or the result of a check."""
    if not wanted(stream):
        return text
    lines = []
    for line in text.split("\n"):
        word = line[at:].partition(" ")[0]
        lines.append(line[:at] + _word(word) + line[at + len(word) :])
    return "\n".join(lines)


def headings(text: str, stream: TextIO) -> str:
    """Make the headings of a help text bold: unindented text before a colon."""
    if not wanted(stream):
        return text
    lines = []
    for line in text.split("\n"):
        head, colon, rest = line.partition(":")
        is_heading = colon and head[:1].isupper() and (not rest or rest.startswith("  "))
        lines.append(paint(head + colon, BOLD) + rest if is_heading else line)
    return "\n".join(lines)


def error(text: str, stream: TextIO) -> str:
    """Colour an error text: its first word in red, the labels below it in bold."""
    if not wanted(stream):
        return text
    lines = []
    for line in text.split("\n"):
        label = next((each for each in _LABELS if line.startswith(each)), "")
        lines.append(paint(label, _LABELS.get(label, BOLD)) + line[len(label) :])
    return "\n".join(lines)


_LABELS = {"gaovm:": f"{BOLD};{RED}", "  remedy:": BOLD, "  field:": BOLD}


def _word(word: str) -> str:
    style = WORDS.get(word)
    return word if style is None else paint(word, style)
