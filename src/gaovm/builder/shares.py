"""Shared directories: which kind each is, and whether a server of its own maps the guest's RAM."""

from __future__ import annotations

from collections.abc import Sequence

from gaovm.builder import choices
from gaovm.builder.document import ShareDevice
from gaovm.model.facts import HostFacts
from gaovm.spec.shares import Share


def decide(shares: Sequence[Share], host: HostFacts) -> tuple[ShareDevice, ...]:
    """Choose the kind of each share.

    Raises:
        errors.ProgramMissing, errors.PermissionMissing: the config asks for virtiofs and it is not
            usable.
    """
    found = []
    for number, share in enumerate(shares):
        choice = choices.choose_share(share.type, host)
        found.append(
            ShareDevice(
                tag=share.tag,
                type=choice.name,
                reason=choice.reason,
                location=share.location,
                mount_point=share.mount_point,
                writable=share.writable,
                fd=f"share{number}" if choice.name == "virtiofs" else None,
            )
        )
    return tuple(found)


def needs_shared_memory(shares: Sequence[ShareDevice]) -> bool:
    """Return whether another process must be able to map guest RAM."""
    return any(share.fd is not None for share in shares)
