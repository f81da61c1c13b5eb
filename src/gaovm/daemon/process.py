"""A running daemon: its parts, made in order and ended in reverse."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import os
import signal

from gaovm.aio import files, sockets, stalls, tasks
from gaovm.daemon import handover, images, paths, presence, server, timestamps
from gaovm.daemon.config import changes
from gaovm.daemon.dispatch import context
from gaovm.daemon.drivers import driver_link, forks, spawner, zygote
from gaovm.daemon.lifecycle import recovery, shutdown, start, supervisor
from gaovm.daemon.storage import events, store
from gaovm.daemon.upgrading import takeover, upgrade
from gaovm.daemon.vms.fleet import Fleet
from gaovm.ipc import server as ipc_server
from gaovm.platform import processes, system
from gaovm.wire.control import payloads

logger = logging.getLogger(__name__)


@dataclasses.dataclass
class Origin:
    """How this process came to be the daemon; ``given`` when it took over from other code."""

    lock: files.Lock
    foreground: bool
    ready_fd: int | None
    given: handover.Handover | None


class DaemonProcess:
    """All parts of a running daemon, made in order and ended in reverse."""

    def __init__(
        self,
        where: paths.Paths,
        database: store.Store,
        owner: tasks.TaskOwner,
        origin: Origin,
        watch: stalls.Watch,
    ) -> None:
        self._origin = origin
        given = origin.given
        self._fleet = Fleet(where, database, events.Events(database), owner)
        self._forks: forks.Forks = (
            zygote.Zygote(where.zygote_log) if system.LINUX else spawner.Spawner()
        )
        self._images = images.ImageService(where)
        self._boot_id = processes.boot_id()
        self._launcher = driver_link.ForkLauncher(self._forks)
        self._starter = start.Starter(self._images, self._launcher, self._boot_id)
        self._supervisor = supervisor.Supervisor(self._fleet, self._starter)
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self._context = context.Daemon(
            fleet=self._fleet,
            starter=self._starter,
            images=self._images,
            zygote=self._forks,
            supervisor=self._supervisor,
            started_at=timestamps.now() if given is None else given.started_at,
            request_stop=self.request_stop,
            watch=watch,
        )

    def request_stop(self) -> None:
        """Begin to stop; a second request means that guests get no time."""
        if self._stop.is_set():
            self._hurry.set()
        self._context.stopping = True
        self._supervisor.stop()
        self._stop.set()

    async def run(self) -> None:
        """Serve until asked to stop, then stop every guest and return."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.request_stop)
        serving = await self._serve()
        self._begin_to_watch(serving)
        _say_ready(self._origin.ready_fd)
        logger.info("serving %s, pid %d", self._fleet.paths.socket, os.getpid())
        forking = tasks.spawn(self._forks.run(), name="drivers")
        self._fleet.background("recovery", self._recover())
        try:
            await self._stop.wait()
            logger.info("stopping")
            await shutdown.stop_all(self._fleet, self._hurry)
        finally:
            if self._origin.lock.is_in_place():  # else it may be another daemon's by now
                with contextlib.suppress(FileNotFoundError):
                    self._fleet.paths.socket.unlink()
            await self._images.close()
            await serving.aclose()
            await tasks.cancel_and_wait(forking)
            self._fleet.events.close()

    def _begin_to_watch(self, serving: ipc_server.Server) -> None:
        self._fleet.background("home", self._leave_without_home())
        limit_s = presence.idle_limit(foreground=self._origin.foreground)
        if limit_s is not None:
            idleness = presence.Idleness(self._context, serving)
            self._fleet.background("idleness", idleness.until_over(limit_s, self.request_stop))

    async def _leave_without_home(self) -> None:
        await presence.until_home_is_gone(self._origin.lock)
        logger.error("%s is gone: ending every VM and leaving", self._fleet.paths.home)
        self._fleet.store.forsake()
        self.request_stop()

    async def _serve(self) -> ipc_server.Server:
        """Bring up the machines, then listen for those who want something of them."""
        front = server.Front(self._context)
        taken: takeover.Takeover | None = None
        if self._origin.given is None:
            self._fleet.events.tell(None, payloads.DaemonStarted(pid=os.getpid()))
            recovery.load(self._fleet, self._fleet.store.load())
            listener = sockets.bind_unix(self._fleet.paths.socket)
        else:
            taken = takeover.Takeover(self._origin.given, self._fleet)
            listener = await taken.below(self._launcher, self._supervisor)
        serving = await ipc_server.serve_unix(listener, front.services, name="gaovmd")
        self._context.upgrade = upgrade.Upgrade(
            upgrade.Parts(
                ctx=self._context,
                lock=self._origin.lock,
                foreground=self._origin.foreground,
                forks=self._forks,
                old_zygotes=taken.old_zygotes if taken is not None else [],
                front=front,
                serving=serving,
            )
        )
        if taken is not None:
            await taken.above(front, serving)
        return serving

    async def _recover(self) -> None:
        recovery.sweep(self._fleet)
        await self._fleet.disks.recover()
        if self._origin.given is None:
            await recovery.recover(self._fleet, self._supervisor, self._boot_id)
        await changes.check_all(self._fleet)
        if any(self._fleet.paths.images.iterdir()):
            await self._images.sweep()
        await self._supervisor.run()


def _say_ready(ready_fd: int | None) -> None:
    if ready_fd is None:
        return
    with contextlib.suppress(OSError):  # the process that started us may be gone
        os.write(ready_fd, b"ready\n")
    with contextlib.suppress(OSError):
        os.close(ready_fd)
