"""A directory of images, each under its digest. The store and the cache are such directories.

One rename brings an image in, one takes it out, so a reader sees a whole image or none.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path

import msgspec

from gaovm import errors
from gaovm.aio import clock, files
from gaovm.images import digests, manifest, workdirs

logger = logging.getLogger(__name__)
_DIGEST = re.compile(r"[0-9a-f]{64}\Z")


class Shelf:
    """The images in ``path``. The first image makes the directory."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def images(self) -> list[manifest.ImageInfo]:
        """Return all readable images, newest first; log the others and leave them out."""
        found = []
        for directory in self.directories():
            try:
                found.append(manifest.info(directory, manifest.load(directory)))
            except errors.ImageCorrupt as exc:
                logger.warning("leaving out an image: %s", exc)
        return sorted(found, key=lambda image: (-image.created, image.digest))

    def find_recipe(self, recipe_key: str) -> manifest.ImageInfo | None:
        """Return the newest image of a recipe."""
        return next((image for image in self.images() if image.recipe_key == recipe_key), None)

    def working(self) -> Path:
        """Make a working directory on the same file system."""
        return workdirs.make(self.path)

    def put(self, work: Path, content: manifest.Manifest) -> manifest.ImageInfo:
        """Make a working directory an image. Blocking.

        The caller has checked its artefacts and removed everything else. If the image is here
        already, it does not change.
        """
        target = self.path / content.digest
        for artefact in content.identity.artefacts.values():
            path = work / artefact.file
            path.chmod(0o444)
            _sync(path)
        files.write_atomic(
            work / manifest.FILE, msgspec.json.format(msgspec.json.encode(content)), 0o444
        )
        try:
            work.rename(target)
        except OSError:
            if not target.is_dir():
                raise
        files.sync_directory(self.path)
        return manifest.info(target, manifest.load(target))

    def bring_in(
        self,
        stop: digests.Stop,
        image: manifest.ImageInfo,
        work: Path,
        count: digests.Count | None = None,
    ) -> manifest.ImageInfo:
        """Bring in ``image`` from another shelf by way of ``work``; check every byte. Blocking.

        Raises: ImageCorrupt (the other shelf's image), DiskFull.
        """
        content = manifest.load(image.directory)
        for artefact in content.identity.artefacts.values():
            digests.bring(stop, image.directory / artefact.file, work / artefact.file)
        (work / manifest.FILE).write_bytes((image.directory / manifest.FILE).read_bytes())
        try:
            digests.verify(stop, work, full=True, digest=content.digest, count=count)
        except errors.ImageCorrupt:
            # The error must name the other shelf's file, not the copy, which goes away.
            digests.verify(stop, image.directory, full=True)
            raise
        return self.put(work, content)

    def take_out(self, digest: str) -> Path | None:
        """Rename an image away; return the directory to delete, or None when it is not here."""
        target = self.path / digest
        if not _DIGEST.match(digest) or not target.is_dir():
            return None
        grave = workdirs.make(self.path) / "image"
        target.rename(grave)
        files.sync_directory(self.path)
        return grave.parent

    def unreadable(self) -> list[str]:
        """Return the digests of images with an unreadable manifest."""
        readable = {image.digest for image in self.images()}
        return [path.name for path in self.directories() if path.name not in readable]

    def directories(self) -> list[Path]:
        """Return the directories of all images, readable or not."""
        if not self.path.is_dir():
            return []
        return [entry for entry in self.path.iterdir() if _DIGEST.match(entry.name)]


def describe(
    stop: digests.Stop,
    work: Path,
    names: Mapping[manifest.Role, str],
    identity: manifest.Identity,
    count: digests.Count | None = None,
) -> manifest.Identity:
    """Add the artefacts in ``work`` to ``identity``. Blocking: it reads all bytes."""
    artefacts: dict[manifest.Role, manifest.Artefact] = {}
    for role, name in names.items():
        path = work / name
        digest = digests.sha256(stop, path, count)
        artefacts[role] = manifest.Artefact(file=name, sha256=digest, size=path.stat().st_size)
    return msgspec.structs.replace(identity, artefacts=artefacts)


def now() -> int:
    """Return Unix time in whole seconds."""
    return int(clock.now())


def allocated(directory: Path) -> int:
    """Return how many bytes deleting ``directory`` frees: files with another name free none."""
    stats = (path.lstat() for path in directory.rglob("*"))
    return sum(stat.st_blocks * 512 for stat in stats if stat.st_nlink == 1)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
