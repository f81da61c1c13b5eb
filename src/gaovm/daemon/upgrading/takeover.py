"""The new code's half of an upgrade: it goes on with what the old code handed over.

The process is the same: locks are held, children are children, and peers have noticed only a pause.
A failure here ends the daemon. Then its drivers see the end of their connections and shut their
guests down, and the next daemon starts what should run.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys

import msgspec

from gaovm import errors, version
from gaovm.aio import steps
from gaovm.daemon import handover, server
from gaovm.daemon.drivers import driver_link, old_zygotes
from gaovm.daemon.lifecycle import supervisor
from gaovm.daemon.vms import driver_watch, machine
from gaovm.daemon.vms.fleet import Fleet
from gaovm.ipc import handover as connections
from gaovm.ipc import server as ipc_server
from gaovm.wire.control import payloads, process

logger = logging.getLogger(__name__)


class Takeover:
    """One hand-over, taken in the order of the methods."""

    def __init__(self, given: handover.Handover, fleet: Fleet) -> None:
        self._given = given
        self._fleet = fleet
        self.old_zygotes: list[old_zygotes.OldZygote] = []

    async def below(
        self, launcher: driver_link.ForkLauncher, keeper: supervisor.Supervisor
    ) -> socket.socket:
        """Restore all that clients ask for; return the listening socket, where some may wait."""
        self.machines()
        self.zygotes()
        await self.drivers(launcher, keeper)
        # From here on signals are handled; the old code kept them pending (``upgrade``).
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGINT))
        return socket.socket(fileno=self._given.listener)

    @steps.step
    def machines(self) -> None:
        """Make the machines of all rows; the rows are true, as nothing has ended."""
        self._fleet.log_levels = dict(self._given.log_levels)
        for record in self._fleet.store.load():
            self._fleet.machines[record.name] = machine.Machine(self._fleet, record)

    @steps.step
    def zygotes(self) -> None:
        """Go on listening to the zygotes that know the drivers."""
        for given in self._given.zygotes:
            old = old_zygotes.OldZygote(given)
            self.old_zygotes.append(old)
            self._fleet.background(f"zygote {given.pid} of the old code", old.run())

    @steps.step
    async def drivers(
        self, launcher: driver_link.ForkLauncher, keeper: supervisor.Supervisor
    ) -> None:
        """Go on with every driver, and with restarts that are due later."""
        for given in self._given.drivers:
            vm = self._fleet.machines.get(given.vm)
            if vm is None:
                logger.error("driver %d belongs to no known VM: closing its connection", given.pid)
                os.close(given.fd)
                continue
            source = next((e for e in self.old_zygotes if given.pid in e.exits.known()), None)
            link = await launcher.resume(vm, given, source)
            vm.hypervisor_pid = given.hypervisor_pid
            vm.timings = dict(given.timings)
            vm.running_since = given.running_since
            vm.paused = given.paused
            driver_watch.adopt(vm, link)
            logger.info("vm %s: driver %d taken over", given.vm, given.pid, extra={"vm": given.vm})
        now = asyncio.get_running_loop().time()
        for name, due in self._given.restarts.items():
            if name in self._fleet.machines:
                keeper.arm(self._fleet.machines[name], max(0.0, due - now))

    @steps.step
    async def above(self, front: server.Front, serving: ipc_server.Server) -> None:
        """Go on with every connection, tell everybody, and answer the client that upgrades."""
        asked = self._given.asked
        asking: connections.Movable | None = None
        for place, given in enumerate(self._given.clients):
            try:
                made = await serving.resume(socket.socket(fileno=given.fd), given.connection)
            except errors.HandshakeError as exc:
                logger.warning("%s: %s", given.connection.name, exc)
                continue
            if given.cursor is not None:
                front.take_up(made, given.cursor)
            if asked is not None and place == asked.client:
                asking = made
        result = self._result()
        told = payloads.DaemonUpgraded(**msgspec.structs.asdict(result))
        # on disk before anybody hears that it is done
        await self._fleet.events.tell(None, told)
        logger.info("upgraded from %s to %s", result.old_version, result.new_version)
        if asking is not None and asked is not None:
            asking.answer(asked.call, result)

    def _result(self) -> process.Upgraded:
        return process.Upgraded(
            old_version=self._given.version,
            new_version=version.VERSION,
            pid=os.getpid(),
            python=sys.executable,
            vms=len(self._given.drivers),
            clients=len(self._given.clients),
        )
