"""The images that a file may name: one that GaoVM can build, or a location."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gaovm import errors

if TYPE_CHECKING:
    from gaovm.project.config import Loaded
    from gaovm.spec.boot import Boot
    from gaovm.spec.disks import Image

#: The image names that GaoVM can build, and Debian's name for each release.
SUITES = {"debian:12": "bookworm"}
#: The kernel's name of an architecture, and Debian's.
ARCHES = {"x86_64": "amd64", "aarch64": "arm64"}
KERNELS = ("generic", "cloud")


def known() -> list[str]:
    """Return the image names that GaoVM can build."""
    return sorted(SUITES)


def check_name(name: str, arch: str, kernel: str) -> None:
    """Check that there is a recipe for that name, architecture and kernel flavour.

    Raises:
        errors.ImageUnknown: there is none; the message lists the known ones.
    """
    if name not in SUITES:
        raise errors.ImageUnknown(
            f"unknown image {name!r}; known images: {', '.join(known())}",
            remedy=f"use {' or '.join(known())}, or the location of a disk image",
        )
    if arch not in ARCHES:
        raise errors.ImageUnknown(
            f"image {name}: no architecture {arch!r}; known: {', '.join(ARCHES)}"
        )
    if kernel not in KERNELS:
        raise errors.ImageUnknown(
            f"image {name}: no kernel {kernel!r}; known: {', '.join(KERNELS)}",
            field="vmOpts.gaovm.kernel",
        )


def check(loaded: Loaded) -> None:
    """Refuse an image that GaoVM cannot get, before it makes anything for the VM.

    Raises:
        errors.ImageUnknown: GaoVM cannot build that name.
        errors.ConfigError: the file gives a digest for an image that GaoVM builds here.
    """
    image, boot = loaded.spec.image, loaded.spec.boot
    for each in image.choices:
        if "/" not in each.location:
            _check_built(loaded, each, boot)


def _check_built(loaded: Loaded, image: Image, boot: Boot) -> None:
    """Refuse an image that GaoVM would have to build and cannot."""
    if image.digest is not None:
        raise errors.ConfigError(
            f"{loaded.place('images[0].digest')}: {image.location} is built on this machine, and "
            "each build has a different digest",
            field="images[0].digest",
            remedy="remove `digest`; it is only for images that are pulled from a URL or a path",
        )
    try:
        check_name(image.location, boot.arch, boot.kernel)
    except errors.ImageUnknown as exc:
        exc.field = exc.field or "images[0].location"
        exc.message = f"{loaded.place(exc.field)}: {exc.message}"
        raise
