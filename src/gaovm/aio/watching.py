"""Being told when a file or directory loses its name, so that nobody has to look."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

from gaovm.aio import sockets
from gaovm.platform import notices


async def until_renamed(paths: Iterable[Path]) -> None:
    """Return when one of the paths was removed or renamed, or when something else about it changed.

    What it is now is for the caller to see.

    Raises:
        errors.HostError: the system does not watch it, for want of a descriptor say, or the path is
            not there.
    """
    with contextlib.closing(notices.names(map(str, paths))) as told:
        await sockets.readable(told.fileno())
