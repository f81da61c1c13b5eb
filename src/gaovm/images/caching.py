"""The cache as a whole: what ``gaovm image prune --all`` empties."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

from gaovm import errors
from gaovm.aio import files
from gaovm.images import image_dir, namespaces, workdirs

#: What the cache holds besides images; all of it is made again when it is needed.
_OTHERS = ("packages", "agent")


async def clear(cache: Path) -> int:
    """Remove every image, package and agent of the cache; returns the bytes freed.

    Lock files stay: whoever waits for one must meet whoever comes later.

    Raises:
        errors.StateConflict: an image is being made, and needs what would go; nothing was removed.
        errors.HostError: something of it cannot be removed.
    """
    images = image_dir.Shelf(cache / "images")
    with contextlib.ExitStack() as held:
        for path in sorted(images.path.glob(".lock.*")):
            lock = files.Lock(path)
            if not lock.acquire():
                raise errors.StateConflict(
                    "an image is being made", remedy="try again when that is done"
                )
            held.callback(lock.release)
        graves = [images.take_out(path.name) for path in images.directories()]
        graves += [_aside(cache, name) for name in _OTHERS]
    freed = 0
    for grave in graves:
        if grave is not None:
            freed += await asyncio.to_thread(image_dir.allocated, grave)
            await namespaces.remove(grave)
    return freed


def _aside(cache: Path, name: str) -> Path | None:
    """Move a directory away at once, so that nobody meets half of it."""
    if not (cache / name).is_dir():
        return None
    grave = workdirs.make(cache / "images")
    (cache / name).rename(grave / name)
    return grave
