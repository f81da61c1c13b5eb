"""Grows the disk of a VM that runs: on the host first, then the guest's file system on it."""

from __future__ import annotations

from typing import Protocol

from gaovm import errors
from gaovm.aio import steps
from gaovm.guestmanager import disks as guest_disks
from gaovm.guestmanager.connection import Connection


class Growable(Protocol):
    """The host side of a VM whose disk can grow."""

    async def grow_disk(self, size_bytes: int) -> None:
        """Give the root disk that size; nothing happens to one that has it."""
        ...


@steps.step
async def grow_live(host: Growable, connection: Connection, size_bytes: int) -> str | None:
    """Grow the disk of a VM that runs, then the guest's file system on it. May be repeated.

    Returns why the file system did not grow, or None: the disk has its size in either case, and a
    file system that is smaller grows at the next boot.

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
