"""Who holds a VM's lock: an earlier daemon's driver, or one that this daemon has given up.

A driver holds the lock as long as its hypervisor lives. So a free lock proves that nothing of the
VM runs, whatever this daemon remembers.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal

from gaovm import errors
from gaovm.aio import files, process
from gaovm.daemon.vms import machine
from gaovm.platform import processes

logger = logging.getLogger(__name__)

#: A driver that lost its daemon leaves within 10 s, or within 15 s if only silence tells it.
OLD_DRIVER_S = 20.0
#: The pause between looks at a lock whose holder is unknown.
_LOOK_S = 0.2


def held(vm: machine.Machine) -> bool:
    """Whether a process holds the VM's lock.

    Raises:
        errors.HostError: the lock's file cannot be opened.
    """
    lock = _lock(vm)
    if not lock.path.exists():
        return False
    if lock.acquire():
        lock.release()
        return False
    return True


async def until_free(vm: machine.Machine, limit_s: float) -> None:
    """Return when nobody holds the lock.

    Raises:
        errors.LockHeld: somebody still holds it after ``limit_s`` seconds; the message says who.
    """
    try:
        async with asyncio.timeout(limit_s):
            while held(vm):
                await _holder_gone(vm)
    except TimeoutError as exc:
        pid = _lock(vm).holder()
        raise errors.LockHeld(
            f"the old driver of VM {vm.name} (process {pid}) did not leave in {limit_s:.0f} s",
            actions=(errors.Action("force_stop_vm", name=vm.name),),
            details={"pid": pid},
        ) from exc


def kill(vm: machine.Machine) -> None:
    """Kill the lock's holder, if the kernel confirms the pid that the file names."""
    lock = _lock(vm)
    pid = lock.holder()
    if pid is None or not processes.has_locked(pid, lock.path):
        return
    logger.warning("vm %s: killing process %d, which has its lock", vm.name, pid)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


async def _holder_gone(vm: machine.Machine) -> None:
    pid = _lock(vm).holder()
    if pid is not None and _exists(pid):
        await process.wait_pid(pid)
    else:
        await asyncio.sleep(_LOOK_S)


def _exists(pid: int) -> bool:
    try:
        processes.identity(pid)
    except errors.NotFound:
        return False
    except errors.HostError:  # unknown: wait for it
        return True
    return True


def _lock(vm: machine.Machine) -> files.Lock:
    return files.Lock(vm.fleet.paths.vm_dir(vm.name) / "lock")
