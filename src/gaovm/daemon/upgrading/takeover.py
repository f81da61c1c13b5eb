"""The new code's half of an upgrade: goes on with what the code before it handed over.

The process is the same one, so locks are held, children are children, and no peer has noticed
anything but a pause. A failure in here ends the daemon; then its drivers see the end of their
connections, shut their guests down, and the next daemon starts what should run.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from typing import Any

from gaovm import errors, version
from gaovm.aio import steps
from gaovm.daemon import handover, launching, machine, server, supervisor
from gaovm.daemon.upgrading import elders
from gaovm.ipc import handover as connections
from gaovm.ipc import server as ipc_server

logger = logging.getLogger(__name__)


class Takeover:
    """One hand-over, taken in the order of the methods."""

    def __init__(self, given: handover.Handover, hub: machine.Hub) -> None:
        self._given = given
        self._hub = hub
        self.elders: list[elders.Elder] = []

    async def below(
        self, launcher: launching.ForkLauncher, keeper: supervisor.Supervisor
    ) -> socket.socket:
        """Everything that clients ask for; then the listening socket, where some may be waiting."""
        self.machines()
        self.zygotes()
        await self.drivers(launcher, keeper)
        # From here on a signal is handled; the code before kept them pending (``upgrade``).
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGINT))
        return socket.socket(fileno=self._given.listener)

    @steps.step
    def machines(self) -> None:
        """Make the machines of all rows; what they say is true, as nothing has ended."""
        self._hub.log_levels = dict(self._given.log_levels)
        for record in self._hub.store.load():
            self._hub.machines[record.name] = machine.Machine(self._hub, record)

    @steps.step
    def zygotes(self) -> None:
        """Go on listening to the zygotes that know the drivers."""
        for given in self._given.zygotes:
            elder = elders.Elder(given)
            self.elders.append(elder)
            self._hub.background(f"zygote {given.pid} of the code before", elder.run())

    @steps.step
    async def drivers(
        self, launcher: launching.ForkLauncher, keeper: supervisor.Supervisor
    ) -> None:
        """Go on with every driver, and with restarts that are due later."""
        for given in self._given.drivers:
            subject = self._hub.machines.get(given.vm)
            if subject is None:
                logger.error("driver %d belongs to no known VM: it is let go", given.pid)
                os.close(given.fd)
                continue
            source = next((e for e in self.elders if given.pid in e.exits.known()), None)
            link = await launcher.resume(subject, given, source)
            subject.hypervisor_pid = given.hypervisor_pid
            subject.timings = dict(given.timings)
            subject.running_since = given.running_since
            subject.paused = given.paused
            subject.adopt(link)
            logger.info("vm %s: driver %d taken over", given.vm, given.pid, extra={"vm": given.vm})
        now = asyncio.get_running_loop().time()
        for name, due in self._given.restarts.items():
            if name in self._hub.machines:
                keeper.arm(self._hub.machines[name], max(0.0, due - now))

    @steps.step
    async def above(self, front: server.Front, serving: ipc_server.Server) -> None:
        """Go on with every connection, tell everybody, and answer whoever asked for the upgrade."""
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
        # on disk before anybody is told that it is done
        await self._hub.events.emit("daemon.upgraded", None, result)
        logger.info("upgraded from %(old_version)s to %(new_version)s", result)
        if asking is not None and asked is not None:
            asking.answer(asked.call, result)

    def _result(self) -> dict[str, Any]:
        return {
            "old_version": self._given.version,
            "new_version": version.VERSION,
            "pid": os.getpid(),
            "python": sys.executable,
            "vms": len(self._given.drivers),
            "clients": len(self._given.clients),
        }
