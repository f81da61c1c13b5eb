"""Whether this host has the directories that a VM mounts."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from gaovm.spec import shares


def check(wanted: Iterable[shares.Share], home: Path, where: Callable[[shares.Share], str]) -> None:
    """Refuse directories that are not there, or that are GaoVM's own.

    A directory on a dead network file system may block. ``where``: who asks for it, for messages.

    Raises:
        errors.MountMissing, errors.MountRefused: which one, and why.
    """
    real_home = os.path.realpath(home)
    for share in wanted:
        found = shares.Place(os.path.realpath(share.location), Path(share.location).is_dir())
        error = shares.refusal(share, found, str(home), real_home, where(share))
        if error is not None:
            raise error
