"""Wait until a file or directory loses its name, without polling."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

from gaovm.aio import sockets
from gaovm.platform import notices


async def until_renamed(paths: Iterable[Path]) -> None:
    """Return when one of the paths is removed or renamed, or something else about it changes.

    The caller has to look at what the path is now.

    Raises:
        errors.HostError: the system cannot watch a path, for example for lack of a descriptor, or
            the path does not exist.
    """
    with contextlib.closing(notices.names(map(str, paths))) as told:
        await sockets.readable(told.fileno())
