"""Move damaged files of the state directory aside, each under a new name; never delete them.

``read`` reads a file that is only a copy of the database. It returns the whole, right content, or
moves the file out of the way, so that the caller can write a new one.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from gaovm import errors
from gaovm.aio import files
from gaovm.daemon import timestamps

logger = logging.getLogger(__name__)

Value = TypeVar("Value")

#: Every file of the state directory that is read whole is smaller than this.
MAX_SIZE = 16 << 20


def aside(path: Path, *companions: str) -> Path:
    """Move a file to ``PATH.corrupt-TIME``, durably, and files named PATH + companion with it.

    The file itself moves first: after a crash in the middle no damaged file is in its place.

    Raises:
        errors.HostError: it cannot be moved.
    """
    kept = path.with_name(f"{path.name}.corrupt-{timestamps.compact()}")
    number = 0
    while os.path.lexists(kept):
        number += 1
        kept = kept.with_name(f"{path.name}.corrupt-{timestamps.compact()}-{number}")
    try:
        for suffix in ("", *companions):
            source = path.with_name(path.name + suffix)
            if os.path.lexists(source):
                source.rename(kept.with_name(kept.name + suffix))
        files.sync_directory(path.parent)
    except OSError as exc:
        raise files.errors_of(exc, f"cannot move the damaged {path} aside") from exc
    return kept


def read(path: Path, decode: Callable[[bytes], Value], max_size: int = MAX_SIZE) -> Value:
    """Return a decoded file. If ``decode`` refuses it, move the file aside and raise an error.

    ``decode`` refuses with ``ValueError``, ``msgspec.MsgspecError`` or an error of the tree.

    Raises:
        errors.NotFound: the file does not exist.
        errors.StateCorrupt: it is damaged; ``details['quarantined']`` is where it lies now.
        errors.HostError: it cannot be read or moved; it stays in its place.
    """
    try:
        with path.open("rb") as file:
            data = file.read(max_size + 1)
    except FileNotFoundError as exc:
        raise errors.NotFound(f"{path} does not exist") from exc
    except OSError as exc:
        raise files.errors_of(exc, f"cannot read {path}") from exc
    try:
        if len(data) > max_size:
            raise ValueError(f"larger than {max_size} bytes")
        return decode(data)
    except (ValueError, RecursionError, msgspec.MsgspecError, errors.GaoError) as exc:
        kept = aside(path)
        logger.error("%s is damaged (%s); it was moved to %s", path, exc, kept)
        raise errors.StateCorrupt(
            f"{path} is damaged ({exc}); it was moved to {kept}",
            details={"quarantined": str(kept)},
        ) from exc
