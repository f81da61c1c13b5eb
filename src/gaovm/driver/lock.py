"""The VM's lock: only the process that holds ``vm_dir/lock`` may touch the disk."""

from __future__ import annotations

from pathlib import Path

from gaovm import errors
from gaovm.aio import files, steps


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
