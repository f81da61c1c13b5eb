"""What a project file asks for and this host does not have: ``up`` and ``explain`` refuse it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gaovm.hostfacts import mounts
from gaovm.project import images

if TYPE_CHECKING:
    from gaovm.project import config


def check(loaded: config.Loaded, home: Path) -> None:
    """Return when a VM can be made of a file, as far as the host tells without making one.

    Looks at directories of the host: one on a network file system that is gone may block.

    Raises:
        errors.ImageUnknown: an image that cannot be had.
        errors.ConfigError: a digest of an image that is built here.
        errors.MountMissing: a mount's directory does not exist on this host.
        errors.MountRefused: it lies in ``home``, GaoVM's own.
    """
    images.check(loaded)
    mounts.check(
        loaded.spec.shares, home, lambda share: f"{loaded.place(share.field or 'mounts')}:"
    )
