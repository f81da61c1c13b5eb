"""The manifest of an image and its identity.

An image's digest is the SHA-256 of the identity in its manifest. The identity has the digest of
every artefact, so the image's digest fixes all bytes. The manifest also records when and from where
the image came, outside the identity.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal

import msgspec

from gaovm import errors
from gaovm.aio import files

FILE = "manifest.json"
_MAX_BYTES = 64 << 10

# ``kernel`` is the one to boot: an uncompressed ELF where that works. Then ``bzimage`` is the file
# that it was extracted from.
Role = Literal["disk", "kernel", "bzimage", "modules", "initrd"]


class Artefact(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file of an image: its name in the image's directory, digest and size in bytes."""

    file: str
    sha256: str
    size: int


class Identity(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The part of a manifest that the digest covers."""

    name: str
    arch: str
    kernel: str | None
    kernel_release: str | None
    recipe_key: str | None
    disk_format: Literal["raw", "qcow2"]
    artefacts: dict[Role, Artefact]
    format: Literal[1] = 1


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file ``manifest.json``. ``created`` is Unix time; the build took ``build_s`` seconds.

    ``downloaded`` has the digests of a pulled image's files as they came, by location: the disk may
    have been compressed.
    """

    identity: Identity
    created: int
    source: str | None = None
    build_s: float | None = None
    downloaded: dict[str, str] = {}

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the identity: the image's name in the store."""
        text = msgspec.json.encode(self.identity, order="sorted")
        return hashlib.sha256(text).hexdigest()


class ImageInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One image of the store.

    ``kernel_path`` is None for a pulled disk without a kernel: it has its own boot loader, or needs
    the kernel of another image. ``downloaded`` is the digest of that disk's file as it came.
    """

    digest: str
    name: str
    arch: str
    kernel: str | None
    kernel_release: str | None
    recipe_key: str | None
    created: int
    size_bytes: int
    directory: Path
    disk: Path
    disk_format: str
    kernel_path: Path | None
    bzimage_path: Path | None
    modules_path: Path | None
    initrd_path: Path | None
    downloaded: str | None = None


def load(directory: Path, digest: str | None = None) -> Manifest:
    """Read the manifest of an image's directory.

    The directory's name is the image's digest unless ``digest`` is given.

    Raises: ImageCorrupt when the manifest is missing, malformed or that of another image.
    """
    expected = digest or directory.name
    path = directory / FILE
    try:
        with files.open_regular(path) as file:
            manifest = msgspec.json.decode(file.read(_MAX_BYTES), type=Manifest)
    except (OSError, errors.NotFound, msgspec.MsgspecError) as exc:
        raise corrupt(path, "a readable manifest", str(exc)) from exc
    if manifest.digest != expected:
        raise corrupt(path, f"digest {expected}", f"digest {manifest.digest}")
    for artefact in manifest.identity.artefacts.values():
        if Path(artefact.file).name != artefact.file or artefact.file.startswith("."):
            raise corrupt(path, "plain file names", artefact.file)
    if "disk" not in manifest.identity.artefacts:
        raise corrupt(path, "a disk", "none")
    return manifest


def info(directory: Path, manifest: Manifest) -> ImageInfo:
    """Describe the image in ``directory``."""
    identity = manifest.identity
    paths: dict[Role, Path] = {
        role: directory / artefact.file for role, artefact in identity.artefacts.items()
    }
    return ImageInfo(
        digest=manifest.digest,
        name=identity.name,
        arch=identity.arch,
        kernel=identity.kernel,
        kernel_release=identity.kernel_release,
        recipe_key=identity.recipe_key,
        created=manifest.created,
        size_bytes=sum(artefact.size for artefact in identity.artefacts.values()),
        directory=directory,
        disk=paths["disk"],
        disk_format=identity.disk_format,
        kernel_path=paths.get("kernel"),
        bzimage_path=paths.get("bzimage"),
        modules_path=paths.get("modules"),
        initrd_path=paths.get("initrd"),
        downloaded=manifest.downloaded.get(identity.name),
    )


def corrupt(path: Path, expected: str, found: str) -> errors.ImageCorrupt:
    """Make the error for a stored file that does not have its digest."""
    return errors.ImageCorrupt(
        f"{path}: expected {expected}, found {found}",
        remedy="remove the image, then build or pull it again",
        actions=(errors.Action("remove_image", image=path.parent.name[:12]),),
        details={"file": str(path), "expected": expected, "found": found},
    )
