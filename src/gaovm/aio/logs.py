"""A process's log: one JSON object a line, files of bounded size, a level that can change.

Every process writes lines ``{ts, level, logger, message, vm?, error?}``. ``vm`` is the
process's own VM; else what the caller gave as ``extra={"vm": ...}``; else the name in a message
that begins with ``vm NAME:``.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sys
from pathlib import Path
from typing import Any, Protocol

import msgspec

from gaovm import errors
from gaovm.aio import clock

LEVELS = {
    "error": logging.ERROR,
    "warn": logging.WARNING,
    "info": logging.INFO,
    "debug": logging.DEBUG,
}
ENVIRONMENT = "GAOVM_LOG_LEVEL"
DEFAULT_LEVEL = "info"
MAX_BYTES = 10_000_000
KEPT = 3
OURS = "gaovm"
_MAX_MESSAGE = 8 << 10
_MAX_ERROR = 32 << 10
_VM = re.compile(r"vm ([\w.-]{1,76}):")


class RotatingFile:
    """Appends bytes; at ``max_bytes`` the file becomes ``.1``, and so on to ``kept``. Mode 0600.

    If stdout or stderr of the process lead to the file, they move to the new file as well: nothing
    written there is lost with the oldest generation. On a full disk lines are lost, but nothing
    else.
    """

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES, kept: int = KEPT) -> None:
        self.path = path
        self._max, self._kept = max_bytes, kept
        self.fd = self._open()
        self._size = os.fstat(self.fd).st_size

    def write(self, data: bytes | memoryview) -> None:
        """Append; rotate first if the file is full."""
        try:
            if self.full(len(data)):
                self.rotate()
            self._size += os.write(self.fd, data)
        except OSError:
            return

    def full(self, more: int) -> bool:
        """Whether the file must be rotated before ``more`` bytes are written."""
        return self._size > 0 and self._size + more > self._max

    @property
    def size(self) -> int:
        """Bytes in the file now."""
        return self._size

    def rotate(self) -> None:
        """Begin a new file.

        Raises:
            OSError: it cannot be made; writes go on to the old file, under its new name.
        """
        if self.path.exists():
            for number in range(self._kept, 0, -1):
                with contextlib.suppress(FileNotFoundError):
                    generation(self.path, number - 1).replace(generation(self.path, number))
        fresh = self._open()
        for standard in (1, 2):
            if _same(standard, self.fd):
                os.dup2(fresh, standard)
        os.close(self.fd)
        self.fd, self._size = fresh, 0

    def truncate(self) -> None:
        """Make the file empty.

        Raises:
            OSError: it cannot be.
        """
        os.ftruncate(self.fd, 0)
        self._size = 0

    def close(self) -> None:
        """Close the file. Idempotent."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def _open(self) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        return os.open(self.path, flags, 0o600)


class Stream:
    """A descriptor that somebody else opened, such as stderr, with the interface of a file."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def write(self, data: bytes) -> None:
        """Write; drop what cannot be written."""
        with contextlib.suppress(OSError):
            os.write(self.fd, data)

    def close(self) -> None:
        """Do nothing: the descriptor is not ours."""


class Sink(Protocol):
    """Where lines go."""

    def write(self, data: bytes) -> None: ...
    def close(self) -> None: ...


class JsonLines(logging.Formatter):
    """Formats a record as a line; ``vm`` is this process's VM, if it has one."""

    def __init__(self, vm: str | None = None) -> None:
        super().__init__()
        self.vm = vm

    def format(self, record: logging.LogRecord) -> str:
        """Return the line without its line feed. A long text loses its end."""
        return self.line(record).decode()

    def line(self, record: logging.LogRecord) -> bytes:
        """Like ``format``, encoded."""
        message = _text(record.getMessage(), _MAX_MESSAGE)
        line = {
            "ts": clock.utc_stamp(),
            "level": level_name(record.levelno),
            "logger": record.name,
            "message": message,
        }
        vm = getattr(record, "vm", None) or self.vm or _named(message)
        if vm is not None:
            line["vm"] = vm
        if record.exc_info:
            line["error"] = _text(self.formatException(record.exc_info), _MAX_ERROR)
        return msgspec.json.encode(line)


class Handler(logging.Handler):
    """Writes lines to sinks. The first sink is the log; all sinks get the same bytes."""

    def __init__(self, *sinks: Sink, vm: str | None = None) -> None:
        super().__init__()
        self.sinks = sinks
        self.lines = JsonLines(vm)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record; never raises."""
        try:
            data = self.lines.line(record) + b"\n"
        except Exception:  # noqa: BLE001  a log call with wrong arguments must not end what it tells about
            self.handleError(record)
            return
        for sink in self.sinks:
            sink.write(data)

    def close(self) -> None:
        """Close the sinks. Idempotent."""
        for sink in self.sinks:
            sink.close()
        super().close()


def set_up(handler: logging.Handler) -> None:
    """Make ``handler`` the process's only one; the level is the environment's, else info.

    If the level does not exist, log a warning and do not use it.
    """
    logging.basicConfig(handlers=[handler], force=True)
    set_level(initial_level())
    wanted = os.environ.get(ENVIRONMENT)
    if wanted and wanted not in LEVELS:
        logging.getLogger(__name__).warning("%s: no level %r", ENVIRONMENT, wanted[:40])


def tear_down() -> None:
    """Flush and close the handlers."""
    logging.shutdown()


def initial_level() -> str:
    """Return the level that a process begins with in this environment."""
    wanted = os.environ.get(ENVIRONMENT)
    return wanted if wanted in LEVELS else DEFAULT_LEVEL


def level() -> str:
    """The level now: ``error``, ``warn``, ``info`` or ``debug``."""
    return level_name(logging.getLogger(OURS).getEffectiveLevel())


def set_level(name: str) -> None:
    """Change the level from the next line on; libraries log warnings and above only.

    Raises:
        errors.InvalidParams: there is no such level; nothing changed.
    """
    number = LEVELS.get(name)
    if number is None:
        raise errors.InvalidParams(
            f"there is no log level {name[:40]!r}",
            field="level",
            remedy=f"one of {', '.join(LEVELS)}",
        )
    logging.getLogger(OURS).setLevel(number)
    logging.getLogger().setLevel(max(number, logging.WARNING))


def level_name(number: int) -> str:
    """Return the word for a level of the standard library; round down a level between two."""
    for name, lowest in LEVELS.items():
        if number >= lowest:
            return name
    return "debug"


def generation(path: Path, number: int) -> Path:
    """Return the file that was rotated ``number`` times; 0 is the file being written."""
    return path.with_name(f"{path.name}.{number}") if number else path


def redirect(file: RotatingFile) -> None:
    """Redirect stdout and stderr to the file, and stdin to /dev/null."""
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, 0)
    os.close(nowhere)
    for standard in (1, 2):
        os.dup2(file.fd, standard)


def stderr() -> Stream:
    """Return a stream to where this process's stderr leads."""
    return Stream(sys.stderr.fileno())


def _text(text: str, limit: int) -> str:
    """Return at most ``limit`` characters, without lone surrogates, which JSON cannot carry."""
    return text[:limit].encode("utf-8", "replace").decode()


def _named(message: str) -> str | None:
    found: Any = _VM.match(message)
    return found[1] if found else None


def _same(one: int, other: int) -> bool:
    try:
        return os.path.sameopenfile(one, other)
    except OSError:
        return False
