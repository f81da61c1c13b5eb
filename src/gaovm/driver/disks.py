"""Grow the disk of a running VM: first on the host, then the guest's file system on it."""

from __future__ import annotations

from typing import Protocol

from gaovm import errors
from gaovm.aio import steps
from gaovm.guestmanager import disks as guest_disks
from gaovm.guestmanager.transport.connection import Connection


class Growable(Protocol):
    """The host side of a VM whose disk can grow."""

    async def grow_disk(self, size_bytes: int) -> None:
        """Grow the root disk to a size; does nothing if it has that size already."""
        ...


@steps.step
async def grow_live(host: Growable, connection: Connection, size_bytes: int) -> str | None:
    """Grow the disk of a running VM, then the guest's file system on it. May be repeated.

    Returns why the file system did not grow, or None. In either case the disk has its size, and a
    smaller file system grows at the next boot.

    Raises:
        errors.DiskShrink: the disk is larger than that.
        errors.HypervisorFailed: the disk could not be resized; nothing changed.
    """
    await host.grow_disk(size_bytes)
    try:
        await guest_disks.grow(connection, size_bytes)
    except errors.GaoError as exc:
        return exc.message
    return None
