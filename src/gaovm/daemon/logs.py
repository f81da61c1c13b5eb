"""The daemon's log, ``logs/gaovmd.log``."""

from __future__ import annotations

from pathlib import Path

from gaovm.aio import logs


def set_up(path: Path, *, foreground: bool) -> None:
    """Log to the file, and in the foreground also to stderr. The file is private to the user."""
    sinks: list[logs.Sink] = [logs.RotatingFile(path)]
    if foreground:
        sinks.append(logs.stderr())
    logs.set_up(logs.Handler(*sinks))


def tear_down() -> None:
    """Flush and close."""
    logs.tear_down()
