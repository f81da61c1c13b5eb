"""The cache as a whole, which ``gaovm image prune --all`` empties."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

from gaovm import errors
from gaovm.aio import files
from gaovm.images import image_dir, namespaces, workdirs
from gaovm.images.transfer import partial

#: The cache holds these besides images. GaoVM makes all of it again when it is needed.
_OTHERS = ("packages", "agent", partial.FOLDER)


async def clear(cache: Path) -> int:
    """Remove every image, package and agent of the cache; return the freed bytes.

    It keeps lock files: a process that waits for one must exclude processes that come later.

    Raises:
        errors.StateConflict: a build is running and needs the cache; nothing was removed.
        errors.HostError: a file cannot be removed.
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
    """Rename a directory away, so that nobody sees half of it."""
    if not (cache / name).is_dir():
        return None
    grave = workdirs.make(cache / "images")
    (cache / name).rename(grave / name)
    return grave
