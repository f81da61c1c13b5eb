"""The shell lines that ``sysinit-vm`` runs in the guest. They are fixed: words come as arguments.

The shell is ``sh`` of the guest, so that each line works with any login shell.
"""

from __future__ import annotations

_THROUGH_SHELL = 'exec "${SHELL:-/bin/sh}" -c "$1"'
#: 127 is what a shell says of a program that it does not find; sudo says 1.
_IF_THERE = f'command -v "$2" >/dev/null 2>&1 || exit 127\n{_THROUGH_SHELL}'


def command(words: list[str]) -> list[str]:
    """Return the command of ``exec``: one word is a line for the user's shell."""
    return words if len(words) > 1 else ["/bin/sh", "-c", _THROUGH_SHELL, "sh", words[0]]


def if_there(line: str) -> list[str]:
    """Return a command that runs a line if its program exists, and else ends with 127."""
    return ["/bin/sh", "-c", _IF_THERE, "sh", line, program(line)]


def program(line: str) -> str:
    """Return the program that a line runs: its first word but sudo and variables."""
    words = line.split()
    for word in words:
        if word not in ("sudo", "exec") and "=" not in word and not word.startswith("-"):
            return word
    return words[0] if words else ""
