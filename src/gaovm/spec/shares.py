"""Host directories in the guest."""

from __future__ import annotations

import hashlib
from typing import Literal

from gaovm.spec.base import Frozen

ShareType = Literal["auto", "9p", "virtiofs"]


class Share(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One directory: absolute host path, absolute guest path, writable or not.

    ``field`` is its path in the project file (``mounts[0].location``), for error messages.
    """

    location: str
    mount_point: str
    writable: bool = False
    type: ShareType = "auto"
    field: str | None = None

    @property
    def tag(self) -> str:
        """Return the mount tag: ``lima-`` and 16 hex digits of SHA-256, as Lima derives it.

        virtiofs allows 36 bytes, 9p 31.
        """
        text = f"{self.location}:{self.mount_point}"
        return "lima-" + hashlib.sha256(text.encode()).hexdigest()[:16]
