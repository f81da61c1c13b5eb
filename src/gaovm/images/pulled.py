"""Finds the image that an earlier pull has brought, and keeps what a URL's first download was."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from gaovm import errors
from gaovm.images import digests, manifest, pulling
from gaovm.images.transfer import pins


async def resolved(request: pulling.Request, known: pins.Pins) -> pulling.Request:
    """Give every part a digest, where one is known.

    That of a URL is the one of its first download; that of a path is its file's.

    Raises: NotFound (a path), StateCorrupt (the pins).
    """
    kernel = await _resolved(request.kernel, known) if request.kernel else None
    initrd = await _resolved(request.initrd, known) if request.initrd else None
    disk = await _resolved(request.disk, known)
    return dataclasses.replace(
        request, digest=disk.digest, pinned=disk.pinned, kernel=kernel, initrd=initrd
    )


async def _resolved(part: pulling.Boot, known: pins.Pins) -> pulling.Boot:
    if part.digest is not None:
        return part
    if pulling.remote(part.location):
        pin = known.get(part.location)
        return part if pin is None else dataclasses.replace(part, digest=pin.digest, pinned=True)
    try:
        digest = await digests.in_thread(digests.sha256, pulling.local(part.location))
    except OSError as exc:
        raise errors.NotFound(f"{part.location}: {exc.strerror}", field="location") from exc
    return dataclasses.replace(part, digest=f"sha256:{digest}")


def pin(request: pulling.Request, fetched: pulling.Fetched, known: pins.Pins) -> None:
    """Keep the digest of each URL for which the caller gave none."""
    for part in request.parts:
        if part.digest is None and pulling.remote(part.location):
            known.add(part.location, fetched.digests[part.location])


def find(
    images: Iterable[manifest.ImageInfo], request: pulling.Request
) -> manifest.ImageInfo | None:
    """Return the newest image with the wanted files; ``images`` has the newest first."""
    for image in images:
        if image.name == request.location and image.arch == request.arch:
            content = manifest.load(image.directory)
            if _has(content, "disk", request.disk) and _boots(content, request):
                return image
    return None


def _boots(content: manifest.Manifest, request: pulling.Request) -> bool:
    wanted: dict[manifest.Role, pulling.Boot | None] = {
        "kernel": request.kernel,
        "initrd": request.initrd,
    }
    artefacts = content.identity.artefacts
    return all(
        role not in artefacts if part is None else _has(content, role, part)
        for role, part in wanted.items()
    )


def _has(content: manifest.Manifest, role: manifest.Role, part: pulling.Boot) -> bool:
    artefact = content.identity.artefacts.get(role)
    if artefact is None:
        return False
    # A manifest from before has no digests of downloads; its disks were never compressed.
    have = {content.downloaded.get(part.location), f"sha256:{artefact.sha256}"}
    return part.digest is None or part.digest in have
