"""Work on a VM that must end before its daemon may be replaced."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from gaovm.daemon.drivers import driver_link
from gaovm.daemon.vms import driver_protocol, machine
from gaovm.model import states

_RUNNING = (states.Observed.RUNNING,)


class UnderWay:
    """Something that must end first, and how to wait for that."""

    def __init__(self, what: str, ended: Callable[[], Awaitable[Any]]) -> None:
        self.what = what
        self.ended = ended


def of(vm: machine.Machine) -> UnderWay | None:
    """Return the work on a VM that is under way; None if there is none."""
    if vm.up is not None:
        return UnderWay(f"up of VM {vm.name}", vm.up.ended)
    if vm.serial.locked():
        return UnderWay(f"an operation on VM {vm.name}", lambda: _unlocked(vm.serial))
    if vm.config.locked():
        return UnderWay(f"a change of VM {vm.name}", lambda: _unlocked(vm.config))
    driver = vm.driver
    if driver is not None and (vm.state.observed not in _RUNNING or _broken(driver)):
        return UnderWay(f"the end of the driver of VM {vm.name}", driver.gone)
    return None


def _broken(driver: driver_protocol.Driver) -> bool:
    made = driver.connection if isinstance(driver, driver_link.Link) else None
    return made is not None and made.error is not None


async def _unlocked(lock: asyncio.Lock) -> None:
    async with lock:
        pass
