"""End the daemon: stop every guest, and leave it to the next daemon which VMs should run."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Coroutine, Iterable

from gaovm import errors
from gaovm.aio import tasks
from gaovm.daemon.lifecycle import stop
from gaovm.daemon.vms import machine
from gaovm.daemon.vms.fleet import Fleet
from gaovm.model import states

logger = logging.getLogger(__name__)


async def stop_all(fleet: Fleet, hurry: asyncio.Event) -> None:
    """Stop every guest as its config says; by force once ``hurry`` is set.

    Returns when every VM is at rest and that is on disk, or could not be written.
    """
    stopping = tasks.spawn(_all(map(_end, fleet.machines.values())), name="stop guests")
    hurrying = tasks.spawn(hurry.wait(), name="hurry")
    await asyncio.wait([stopping, hurrying], return_when=asyncio.FIRST_COMPLETED)
    if not stopping.done():
        logger.warning("asked twice to stop: guests are ended by force")
        await _all(map(_force, fleet.machines.values()))
    await tasks.cancel_and_wait(hurrying, stopping)
    with contextlib.suppress(errors.GaoError):  # logged where it failed
        await fleet.store.flush()


async def _end(vm: machine.Machine) -> None:
    work = stop.stop(vm, limits=stop.GENTLE, event=states.Event.DAEMON_STOPPING)
    await tasks.guard(f"vm {vm.name}: stop", work)


async def _force(vm: machine.Machine) -> None:
    if vm.driver is not None:
        work = stop.shut_down(vm, stop.FORCED)
        await tasks.guard(f"vm {vm.name}: forced stop", work)


async def _all(work: Iterable[Coroutine[None, None, None]]) -> None:
    await asyncio.gather(*work)
