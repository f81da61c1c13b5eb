"""Shared directories: which kind each is, and whether a server of its own maps the guest's RAM."""

from __future__ import annotations

from collections.abc import Sequence

from gaovm.builder import choices
from gaovm.builder.document import ShareDevice
from gaovm.model.facts import HostFacts
from gaovm.spec.shares import Share

#: The agent's own; a longer message needs contiguous memory, which a busy guest lacks.
MSIZE_BYTES = 128 << 10


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
                inotify=share.inotify,
                options=_options(share) if choice.name == "9p" else "",
                security_model=share.nine_p.security_model,
                queue_size=share.queue_size,
                follow_symlinks=share.follow_symlinks,
            )
        )
    return tuple(found)


def _options(share: Share) -> str:
    """Return the guest's mount options for 9p; empty if the config leaves them to the agent."""
    asked = share.nine_p
    if asked.msize_bytes is None and asked.cache is None:
        return ""
    msize, cache = asked.msize_bytes or MSIZE_BYTES, asked.cache or "mmap"
    return f"trans=virtio,version=9p2000.L,msize={msize},cache={cache}"


def needs_shared_memory(shares: Sequence[ShareDevice]) -> bool:
    """Return whether another process must be able to map guest RAM."""
    return any(share.fd is not None for share in shares)
