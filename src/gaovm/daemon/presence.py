"""Why a daemon leaves although nobody asked: its home is gone, or it has nothing to do.

The home is gone when the daemon's lock file is: somebody removed or moved it. From then on another
daemon may take the place, so this one writes nothing there any more.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import select
from collections.abc import Callable

from gaovm import errors
from gaovm.aio import files, watching
from gaovm.daemon.dispatch import context
from gaovm.daemon.vms import machine
from gaovm.ipc import server
from gaovm.model import states

logger = logging.getLogger(__name__)

IDLE_EXIT = "GAOVM_IDLE_EXIT"
IDLE_S = 15 * 60.0
#: The longest pause between two looks whether the daemon is idle.
_TICK_S = 60.0
#: The pause between looks at the lock's file, where the system cannot watch files.
_LOOK_S = 5.0


def idle_limit(*, foreground: bool) -> float | None:
    """Seconds without work after which the daemon leaves; None: never.

    In the foreground, and as the main process of a systemd unit, it leaves only if told to.

    Raises:
        errors.UsageError: the variable is not a number of seconds.
    """
    text = os.environ.get(IDLE_EXIT, "")
    try:
        seconds = float(text) if text else IDLE_S
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise errors.UsageError(
            f"{IDLE_EXIT} is {text!r}, not a number of seconds",
            remedy=f"{IDLE_EXIT}=900, or 0 for a daemon that stays",
        )
    of_unit = os.environ.get("SYSTEMD_EXEC_PID") == str(os.getpid())
    return None if foreground or of_unit or seconds == 0 else seconds


async def until_home_is_gone(lock: files.Lock) -> None:
    """Return when the file that the daemon has locked is not where it was."""
    paths = (lock.path, lock.path.parent)
    while lock.is_in_place():
        try:
            await watching.until_renamed(paths)
        except errors.HostError as exc:
            logger.debug("%s; looking again in %g s", exc, _LOOK_S)
            await asyncio.sleep(_LOOK_S)


class Idleness:
    """Looks now and then whether there is anything to do, or to wait for."""

    def __init__(self, ctx: context.Daemon, serving: server.Server) -> None:
        self._ctx = ctx
        self._serving = serving

    async def until_over(self, limit_s: float, leave: Callable[[], None]) -> None:
        """Call ``leave`` after ``limit_s`` seconds without work; no client is accepted then."""
        loop = asyncio.get_running_loop()
        since, seen = loop.time(), self._serving.accepted
        while True:
            await asyncio.sleep(min(limit_s / 4, _TICK_S))
            now = loop.time()
            if self.busy() or self._serving.accepted != seen:
                since, seen = now, self._serving.accepted
            elif now - since >= limit_s and await self._shut_the_door(seen):
                logger.info("nothing to do for %g s: leaving", limit_s)
                leave()
                return

    def busy(self) -> bool:
        """Whether somebody is connected, or something runs, should run, or is under way."""
        fleet = self._ctx.fleet
        return (
            bool(self._serving.connections)
            or any(not each.done for each in fleet.lasting)
            or any(map(_needed, fleet.machines.values()))
        )

    async def _shut_the_door(self, seen: int) -> bool:
        """Stop accepting clients and return True; if a client is just connecting, return False.

        A client that comes later starts a new daemon.
        """
        self._serving.pause()
        # one turn for connections that were accepted just now, one for what they begin
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        if self.busy() or self._serving.accepted != seen or _waits(self._serving.fileno()):
            await self._serving.go_on()
            return False
        return True


def _needed(vm: machine.Machine) -> bool:
    state = vm.state
    at_rest = state.observed in (states.Observed.STOPPED, states.Observed.FAILED)
    under_way = vm.up is not None or vm.serial.locked() or vm.config.locked()
    wanted = state.desired is states.Desired.RUNNING
    return wanted or not at_rest or under_way or vm.driver is not None or vm.unwritten


def _waits(listener: int) -> bool:
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    return bool(poll.poll(0))
