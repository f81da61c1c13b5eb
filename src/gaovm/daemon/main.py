"""The daemon's process: one per ``$GAOVM_HOME``, from the lock to a graceful end.

    gaovmd [--ready-fd N] [--foreground]

``--ready-fd``: ``ready`` and a line feed are written there once the socket listens.
``--foreground``: the log also goes to stderr. Two more are for daemons only: ``--take-over N``
goes on with what another code in this process left in descriptor N (``takeover``), and
``--check-upgrade`` says whether this code could (``preflight``).

Exit status: 0 asked to end, 1 failed, 2 usage, 75 another daemon of this home is at work.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import os
import signal
import sys
from collections.abc import Coroutine, Iterable
from typing import Any

from gaovm import errors
from gaovm.aio import descriptors, files, sockets, stalls, tasks
from gaovm.aio import logs as log_levels
from gaovm.daemon import handover, images, logs, paths, presence, server, timestamps
from gaovm.daemon.config import changes
from gaovm.daemon.dispatch import context
from gaovm.daemon.drivers import driver_link, forks, spawner, zygote
from gaovm.daemon.lifecycle import recovery, start, stop, supervisor
from gaovm.daemon.storage import events, store
from gaovm.daemon.upgrading import preflight, takeover, upgrade
from gaovm.daemon.vms import machine
from gaovm.ipc import server as ipc_server
from gaovm.model import states
from gaovm.platform import priority, processes, system

logger = logging.getLogger(__name__)

ALREADY_RUNNING = 75


class Options:
    """The command line."""

    def __init__(self, words: list[str]) -> None:
        self.foreground = False
        self.ready_fd: int | None = None
        self.take_over: int | None = None
        rest = iter(words)
        for word in rest:
            if word == "--foreground":
                self.foreground = True
            elif word == "--ready-fd" and (number := next(rest, "")).isdecimal():
                self.ready_fd = int(number)
            elif word == handover.FLAG and (number := next(rest, "")).isdecimal():
                self.take_over = int(number)
            else:
                raise errors.UsageError(
                    f"unknown argument {word}", remedy="gaovmd [--ready-fd N] [--foreground]"
                )


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
        self._owner = owner
        self._origin = origin
        given = origin.given
        self._fleet = machine.Fleet(where, database, events.Events(database), owner)
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
        """Begin the end; asked twice, guests are not waited for."""
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
            await self._stop_guests()
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
        """The machines, then whoever wants something of them."""
        front = server.Front(self._context)
        taken: takeover.Takeover | None = None
        if self._origin.given is None:
            self._fleet.events.emit("daemon.started", None, {"pid": os.getpid()})
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
        if self._origin.given is None:
            await recovery.recover(self._fleet, self._supervisor, self._boot_id)
        await changes.check_all(self._fleet)
        if any(self._fleet.paths.images.iterdir()):
            await self._images.sweep()
        await self._supervisor.run()

    async def _stop_guests(self) -> None:
        gentle = [self._end(vm, force=False) for vm in self._fleet.machines.values()]
        stopping = tasks.spawn(_all(gentle), name="stop guests")
        hurrying = tasks.spawn(self._hurry.wait(), name="hurry")
        await asyncio.wait([stopping, hurrying], return_when=asyncio.FIRST_COMPLETED)
        if not stopping.done():
            logger.warning("asked twice to stop: guests are ended by force")
            await _all([self._force(vm) for vm in self._fleet.machines.values()])
        await tasks.cancel_and_wait(hurrying, stopping)
        with contextlib.suppress(errors.GaoError):  # logged where it failed
            await self._fleet.store.flush()

    async def _end(self, vm: machine.Machine, *, force: bool) -> None:
        limits = stop.FORCED if force else stop.GENTLE
        work = stop.stop(vm, limits=limits, event=states.Event.DAEMON_STOPPING)
        await machine.guard(f"vm {vm.name}: stop", work)

    async def _force(self, vm: machine.Machine) -> None:
        if vm.driver is not None:
            work = stop.shut_down(vm, stop.FORCED)
            await machine.guard(f"vm {vm.name}: forced stop", work)


async def _all(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    await asyncio.gather(*work)


def _say_ready(ready_fd: int | None) -> None:
    if ready_fd is None:
        return
    with contextlib.suppress(OSError):  # whoever started us may have gone away
        os.write(ready_fd, b"ready\n")
    with contextlib.suppress(OSError):
        os.close(ready_fd)


#: How long a thread that reads a stranger's file may keep the loop from going on, in seconds.
_SWITCH_S = 0.001


def _run_loop(where: paths.Paths, database: store.Store, origin: Origin) -> None:
    sys.setswitchinterval(_SWITCH_S)
    with stalls.Watch() as watch, asyncio.Runner(loop_factory=watch.new_loop) as runner:
        runner.run(_main(where, database, origin, watch))


async def _main(
    where: paths.Paths, database: store.Store, origin: Origin, watch: stalls.Watch
) -> None:
    with priority.first():
        async with tasks.TaskOwner("gaovmd") as owner:
            await DaemonProcess(where, database, owner, origin, watch).run()


def _origin(options: Options, lock: files.Lock) -> Origin:
    given: handover.Handover | None = None
    if options.take_over is None:
        lock.acquire()
    else:
        given = handover.read(options.take_over)
        lock.adopt(given.lock)
        descriptors.raise_limit(given.open_files)
        log_levels.set_level(given.log_level or log_levels.level())
    return Origin(lock, options.foreground, options.ready_fd, given)


def run(words: list[str]) -> int:
    """The whole life of the daemon; returns its exit status."""
    os.umask(0o077)
    logging.basicConfig(handlers=[logging.NullHandler()])  # until there is a file to log to
    if words == [preflight.FLAG]:
        return preflight.run()
    try:
        options = Options(words)
        descriptors.raise_limit()
        where = paths.from_environment()
        where.make()
        logs.set_up(where.log, foreground=options.foreground)
        origin = _origin(options, files.Lock(where.lock))
        if not origin.lock.held:
            holder = origin.lock.holder()
            sys.stderr.write(f"gaovmd: already running, pid {holder} ({where.home})\n")
            return ALREADY_RUNNING
        os.chdir("/")
        with priority.realtime(), contextlib.closing(store.open_store(where.database)) as database:
            _run_loop(where, database, origin)
    except errors.GaoError as exc:
        logger.error("%s", exc)
        remedy = f"\n  {exc.advice}" if exc.advice else ""
        sys.stderr.write(f"gaovmd: {exc}{remedy}\n")
        return exc.exit_code
    except OSError as exc:
        logger.error("the daemon failed: %s", exc)
        where_ = f": {exc.filename}" if exc.filename else ""
        sys.stderr.write(f"gaovmd: {exc.strerror or exc}{where_}\n")
        return 1
    except Exception as exc:
        logger.exception("the daemon failed")
        sys.stderr.write(f"gaovmd: internal error: {exc!r}\n")
        return 1
    finally:
        logs.tear_down()
    logger.info("ended")
    return 0


def entry() -> None:
    """Run as a program."""
    raise SystemExit(run(sys.argv[1:]))
