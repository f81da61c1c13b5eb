"""Host directories in the guest."""

from __future__ import annotations

import hashlib
from typing import Literal, NamedTuple

from gaovm import errors
from gaovm.spec.base import Frozen

ShareType = Literal["auto", "9p", "virtiofs", "reverse-sshfs"]
SecurityModel = Literal["none", "passthrough", "mapped-xattr", "mapped-file"]
Cache = Literal["none", "mmap"]


class NineP(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a config says about 9p; None: GaoVM chooses.

    ``security_model``: how owners and modes are kept. ``msize_bytes``: the longest message.
    ``cache``: of the guest's client, which trusts what it has read in no mode that is allowed here.
    """

    security_model: SecurityModel | None = None
    msize_bytes: int | None = None
    cache: Cache | None = None


class Share(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One directory: absolute host path, absolute guest path, writable or not.

    ``field`` is its path in the project file (``mounts[0].location``), for error messages.
    ``inotify``: the guest's watchers are told what the host changes. ``nine_p`` and ``queue_size``
    (requests that virtiofs can have under way) count if the share is of that type, and so does
    ``follow_symlinks`` of reverse-sshfs: the server follows links inside the share.
    """

    location: str
    mount_point: str
    writable: bool = False
    type: ShareType = "auto"
    inotify: bool = False
    nine_p: NineP = NineP()
    queue_size: int | None = None
    follow_symlinks: bool = False
    field: str | None = None

    @property
    def tag(self) -> str:
        """Return the mount tag: ``lima-`` and 16 hex digits of SHA-256, as Lima derives it.

        virtiofs allows 36 bytes, 9p 31.
        """
        text = f"{self.location}:{self.mount_point}"
        return "lima-" + hashlib.sha256(text.encode()).hexdigest()[:16]


class Place(NamedTuple):
    """A path on the host: the real path behind its links, and whether it is a directory."""

    real: str
    is_directory: bool


def refusal(
    share: Share, found: Place, home: str, real_home: str, where: str
) -> errors.GaoError | None:
    """Return why a directory cannot be mounted: it is missing, or it is GaoVM's own. Else None.

    ``home`` is GaoVM's directory. ``where`` begins the message: it names the place of the mount.
    """
    if not found.is_directory:
        return errors.MountMissing(
            f"{where} {share.location} is no directory on this host",
            field=share.field or "mounts",
            remedy="make the directory, or remove the mount from the file",
        )
    if f"{found.real}/".startswith(f"{real_home.rstrip('/')}/"):
        return errors.MountRefused(
            f"{where} {share.location} lies in GaoVM's own directory {home}, where the disks of "
            "all VMs are",
            field=share.field or "mounts",
            remedy="mount another directory",
        )
    return None
