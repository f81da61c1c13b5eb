"""Print log lines as Lima does, for people and for scripts that grep them.

On a terminal ``WARN[0000] text``; else ``time="…" level=warning msg="text"``, or JSON.
"""

from __future__ import annotations

import os
import sys
import time

from gaovm.cli import colour, output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

#: Lima's levels, the most important first.
LEVELS = ("panic", "fatal", "error", "warning", "info", "debug", "trace")
_STYLES = {"fatal": colour.RED, "error": colour.RED, "warning": colour.YELLOW, "info": "36"}
_PLAIN = frozenset(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._/@^+"
)  # what needs no quotes
_ESCAPES = {"\n": "\\n", "\t": "\\t", "\r": "\\r", '"': '\\"', "\\": "\\\\"}


class Log:
    """Writes lines of ``level`` and above. ``form`` is ``text`` or ``json``."""

    def __init__(
        self, level: str = "info", form: str = "text", stream: TextIO | None = None
    ) -> None:
        self._most = LEVELS.index(level)
        self._form = form
        self._stream = stream or sys.stderr
        self._began = time.monotonic()

    def fatal(self, text: str) -> None:
        """Say why the command fails; the caller then exits."""
        self._line("fatal", text)

    def error(self, text: str) -> None:
        """Say what went wrong, while the command goes on."""
        self._line("error", text)

    def warning(self, text: str) -> None:
        """Say what the user may not expect."""
        self._line("warning", text)

    def info(self, text: str) -> None:
        """Say what happens."""
        self._line("info", text)

    def debug(self, text: str) -> None:
        """Say what helps to find a mistake."""
        self._line("debug", text)

    def _line(self, level: str, text: str) -> None:
        if LEVELS.index(level) > self._most:
            return
        print(self._formed(level, output.harmless(text)), file=self._stream)

    def _formed(self, level: str, text: str) -> str:
        if self._form == "json":
            return output.json_text({"level": level, "msg": text, "time": _now()})
        if self._stream.isatty():
            word = level[:4].upper()
            if colour.wanted(self._stream):
                word = colour.paint(word, _STYLES.get(level, colour.DIM))
            return f"{word}[{int(time.monotonic() - self._began):04}] {text}"
        return f'time="{_now()}" level={level} msg={quoted(text)}'


def quoted(text: str) -> str:
    """Return a value as a line of Lima's log has it: between quotes unless it is one plain word."""
    if text and set(text) <= _PLAIN:
        return text
    return '"' + "".join(_ESCAPES.get(char, char) for char in text) + '"'


def on_terminal() -> bool:
    """Tell whether output is for a person; ``_LIMA_OUTPUT_IS_TTY`` decides as it does for Lima."""
    return bool(os.environ.get("_LIMA_OUTPUT_IS_TTY")) or sys.stdout.isatty()


def _now() -> str:
    zone = time.strftime("%z")
    return time.strftime("%Y-%m-%dT%H:%M:%S") + (
        "Z" if zone in ("", "+0000") else f"{zone[:3]}:{zone[3:]}"
    )
