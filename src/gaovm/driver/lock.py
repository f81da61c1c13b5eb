"""The locks of a VM and of its additional disks: only who holds one may touch the disk."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from gaovm import errors
from gaovm.aio import files, steps
from gaovm.wire.driver.launch import DiskFile


@steps.step
def take(vm_dir: Path) -> files.Lock:
    """Take the lock and return it.

    Raises:
        errors.LockHeld: another process holds it; the message names it.
    """
    lock = files.Lock(vm_dir / "lock")
    if lock.acquire():
        return lock
    pid = lock.holder()
    who = f"process {pid}" if pid else "another process"
    raise errors.LockHeld(
        f"the VM in {vm_dir} is in use by {who}",
        remedy="wait until it has ended (a driver whose daemon died leaves within 15 s)",
        details={"pid": pid},
    )


@steps.step
def take_disks(disks: Iterable[DiskFile]) -> tuple[files.Lock, ...]:
    """Take the locks of a VM's additional disks, all or none, and return them.

    A lock falls when this process ends, however it ends, so none stays behind.

    Raises:
        errors.DiskInUse: another process has one of the disks.
        errors.DiskMissing: one of the disks was removed.
    """
    taken: list[files.Lock] = []
    try:
        for disk in disks:
            _check_there(disk)
            lock = _of_disk(disk)
            taken.append(lock)
            _check_there(disk)  # it may have gone before this process had the lock
    except BaseException:
        for lock in taken:
            lock.release()
        raise
    return tuple(taken)


def _check_there(disk: DiskFile) -> None:
    if not Path(disk.path).is_file():
        raise errors.DiskMissing(
            f"disk {disk.name} was removed",
            field="additionalDisks",
            actions=(errors.Action("list_disks"),),
        )


def _of_disk(disk: DiskFile) -> files.Lock:
    lock = files.Lock(disk.lock)
    if not lock.acquire():
        pid = lock.holder()
        who = f"process {pid}" if pid else "another process"
        raise errors.DiskInUse(
            f"disk {disk.name} is in use by {who}",
            remedy="stop the VM that uses it",
            actions=(errors.Action("list_disks"),),
            details={"disk": disk.name, "pid": pid},
        )
    return lock
