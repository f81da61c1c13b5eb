"""The guest's file systems on its disks."""

from __future__ import annotations

from gaovm import errors
from gaovm.guestmanager import calls
from gaovm.guestmanager.transport.connection import Connection
from gaovm.wire.agent import table
from gaovm.wire.agent.disks import Disk, DiskMounted, Grow, MountDisks

#: Seconds; the kernel writes a few blocks for each new 128 MiB.
GROW_LIMIT_S = 40.0
#: Seconds; a mkfs of a very large disk writes a lot.
MOUNT_LIMIT_S = 300.0


async def grow(connection: Connection, size_bytes: int) -> int:
    """Grow the root file system to its disk of ``size_bytes``; return its new size in bytes.

    Raises:
        errors.GuestCallFailed: the agent refused or failed.
        errors.GuestUnavailable: the agent did not answer in time.
    """
    body = Grow(size_bytes=size_bytes)
    grown = await calls.call(connection, table.GROW_DISK, body, limit_s=GROW_LIMIT_S)
    return grown.total_bytes


async def mount(connection: Connection, disks: tuple[Disk, ...]) -> tuple[DiskMounted, ...]:
    """Mount the additional disks, made into file systems where they are empty. Idempotent.

    Raises:
        errors.GuestCallFailed: the agent refused, or a disk cannot be mounted; the message says
            which and why.
        errors.GuestUnavailable: the agent did not answer in time.
    """
    body = MountDisks(disks=disks)
    done = await calls.call(connection, table.MOUNT_DISKS, body, limit_s=MOUNT_LIMIT_S)
    by_path = {each.path: each for each in done.disks}
    for disk in disks:
        result = by_path.get(disk.path)
        if result is None or not result.ok:
            raise _failed(disk, result)
    return done.disks


def _failed(disk: Disk, result: DiskMounted | None) -> errors.GuestCallFailed:
    why = (result.error[:500] if result else "") or "no result from the agent"
    code = result.code if result else ""
    remedy = "see the agent's log"
    if code == "unsupported":
        remedy = (
            f"install what {disk.fs_type} needs in the guest and restart the VM, or take another "
            "fsType"
        )
    elif code == "conflict":
        remedy = "set the fsType that is on it, or format: false and look inside; or use a new disk"
    return errors.GuestCallFailed(
        f"cannot mount the disk at {disk.path}: {why}",
        field="additionalDisks",
        remedy=remedy,
        actions=(errors.Action("open_shell"),),
        details={"mount": disk.path, "agent_code": code[:64]},
    )
