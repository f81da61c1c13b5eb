"""Colour for people at a terminal: none in pipes and files, with NO_COLOR or a dumb terminal.

What is coloured is finished text of ours: texts from a guest were made harmless before.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

BOLD, DIM, RED, GREEN, YELLOW = "1", "2", "31", "32", "33"
#: What a word of a state or of a check means.
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
    """Whether this stream's reader wants colour (no-color.org: any NO_COLOR but an empty one)."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM", "dumb") == "dumb":
        return False
    return stream.isatty()


def paint(text: str, style: str) -> str:
    """The text in a style, whatever stood before it."""
    return f"\x1b[{style}m{text}\x1b[0m" if text else text


def column(table: str, head: str, stream: TextIO) -> str:
    """A finished table with its head in bold, and the words of one column in their colours."""
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
    """Lines whose word at an offset has its colour, where it is one that means something."""
    if not wanted(stream):
        return text
    lines = []
    for line in text.split("\n"):
        word = line[at:].partition(" ")[0]
        lines.append(line[:at] + _word(word) + line[at + len(word) :])
    return "\n".join(lines)


def headings(text: str, stream: TextIO) -> str:
    """A help text whose headings are bold: what stands at the left before a colon."""
    if not wanted(stream):
        return text
    lines = []
    for line in text.split("\n"):
        head, colon, rest = line.partition(":")
        is_heading = colon and head[:1].isupper() and (not rest or rest.startswith("  "))
        lines.append(paint(head + colon, BOLD) + rest if is_heading else line)
    return "\n".join(lines)


def error(text: str, stream: TextIO) -> str:
    """An error text: its first word in red, the labels below it in bold."""
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
