"""Check what may be shared with a guest, whatever serves it: no directories of GaoVM's own."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from gaovm import errors
from gaovm.spec.shares import Share


def check(wanted: Iterable[Share], home: Path) -> None:
    """Refuse directories that do not exist, or that are GaoVM's own.

    Raises:
        errors.MountMissing, errors.MountRefused: names the directory and the reason.
    """
    own = os.path.realpath(home)
    for share in wanted:
        if not Path(share.location).is_dir():
            raise errors.MountMissing(
                f"mount {share.location} is no directory on this host", field="mounts"
            )
        if Path(os.path.realpath(share.location)).is_relative_to(own):
            raise errors.MountRefused(
                f"mount {share.location} lies in GaoVM's own directory {home}, where the disks of "
                "all VMs are",
                field=share.field or "mounts",
                remedy="mount another directory",
            )
