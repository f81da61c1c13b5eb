"""Print lines as ``sysinit-vm`` prints them: a coloured label, then the text; ask a question."""

from __future__ import annotations

import sys

from gaovm import errors
from gaovm.cli import colour, output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

_GREEN, _YELLOW, _RED = "0;32", "1;33", "0;31"


def info(text: str) -> None:
    """Say on standard output what happens."""
    _line("[INFO]", _GREEN, text, sys.stdout)


def warn(text: str) -> None:
    """Warn on standard output: a warning of ``status`` is its answer."""
    _line("[WARN]", _YELLOW, text, sys.stdout)


def error(text: str) -> None:
    """Say on standard error what failed."""
    _line("[ERROR]", _RED, text, sys.stderr)


def ask(question: str, *, default: bool = False) -> bool:
    """Ask the person; y or yes means yes, an empty line ``default``.

    Raises:
        errors.UsageError: standard input ends without an answer.
    """
    sys.stdout.flush()
    sys.stderr.write(f"{question} ({'Y/n' if default else 'y/N'}) ")
    sys.stderr.flush()
    answer = sys.stdin.readline()
    if not answer:
        sys.stderr.write("\n")
        raise errors.UsageError("Nobody answered, so nothing was changed")
    if default and not answer.strip():
        return True
    return answer.strip().lower() in ("y", "yes")


def _line(label: str, style: str, text: str, stream: TextIO) -> None:
    shown = colour.paint(label, style) if colour.wanted(stream) else label
    print(f"{shown} {output.harmless(text)}", file=stream, flush=True)
