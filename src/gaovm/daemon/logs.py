"""The daemon's log: JSON, one object a line, 10 MB and 3 older files."""

from __future__ import annotations

import json
import logging
import logging.handlers
import sys
from pathlib import Path

from gaovm.daemon import stamps

MAX_BYTES = 10_000_000
KEPT = 3


class JsonLines(logging.Formatter):
    """One JSON object per record: ts, level, logger, message, and ``vm`` and ``error`` if any."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line = {
            "ts": stamps.now(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        vm = getattr(record, "vm", None)
        if vm is not None:
            line["vm"] = vm
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def set_up(path: Path, *, foreground: bool) -> None:
    """Log to the file, and in the foreground also to stderr. The file is private to the user."""
    path.touch(mode=0o600, exist_ok=True)
    handlers: list[logging.Handler] = [
        logging.handlers.RotatingFileHandler(path, maxBytes=MAX_BYTES, backupCount=KEPT)
    ]
    if foreground:
        handlers.append(logging.StreamHandler(sys.stderr))
    for handler in handlers:
        handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=handlers, force=True)


def tear_down() -> None:
    """Flush and close."""
    logging.shutdown()
