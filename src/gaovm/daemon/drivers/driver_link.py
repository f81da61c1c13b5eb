"""From a machine to its driver: socket pair, fork, handshake, and the link that remains."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from pathlib import Path
from typing import Any, Protocol, TypeVar

import msgspec

from gaovm import errors
from gaovm.aio import clock, descriptors, steps, tasks
from gaovm.daemon.drivers import forks, old_drivers
from gaovm.daemon.handover import Driver
from gaovm.daemon.vms import driver_protocol, machine, reports
from gaovm.ipc import connection, handover, hello, methods, peer
from gaovm.platform import processes
from gaovm.wire import anyjson, convert
from gaovm.wire.driver import params as wire
from gaovm.wire.driver import table
from gaovm.wire.driver.params import NOTHING
from gaovm.wire.method import Method

logger = logging.getLogger(__name__)
P = TypeVar("P", bound=msgspec.Struct)
R = TypeVar("R", bound=msgspec.Struct)

#: A driver says hello within 10 ms of its fork; this limit is for a host that swaps.
HANDSHAKE_S = 10.0
#: A zygote may die while it handles a request; then we ask the next one.
FORK_ATTEMPTS = 3
#: A driver leaves 15 s after the last call; three pings fit in that.
PING_INTERVAL_S = 5.0
PING_LIMIT_S = 10.0
#: When a process has ended, we read its connection to the end for at most this long.
LAST_WORDS_S = 1.0
#: A driver whose link broke shuts its guest down and leaves; after this time it counts as hung.
SEE_OUT_S = 20.0


class Source(Protocol):
    """Says how a driver ended."""

    async def gone(self, forked: forks.Forked) -> int | None:
        """Wait until the driver ends; return its status, minus the signal, None if unknown."""
        ...


class Link:
    """A driver process and the connection to it. Implements ``driver_protocol.Driver``."""

    def __init__(self, forked: forks.Forked, source: Source, log: Path) -> None:
        self.pid = forked.pid
        self.forked = forked
        self._source = source
        self._log = log
        self._connection: handover.Movable | None = None
        self._ended: asyncio.Future[driver_protocol.Ended] = (
            asyncio.get_running_loop().create_future()
        )

    @property
    def connection(self) -> handover.Movable | None:
        """The connection; None before its handshake is done."""
        return self._connection

    def attach(self, made: handover.Movable) -> None:
        """Use a connection whose handshake is done."""
        self._connection = made
        made.set_heartbeat(PING_INTERVAL_S, PING_LIMIT_S)

    async def watch(self) -> None:
        """Wait for the process's end; run this once, in the background."""
        exit_code = await self._source.gone(self.forked)
        if self._connection is not None:
            # Read what the driver said last, in whichever order the kernel reports both ends:
            # after a stall of this process both are there at once.
            await asyncio.wait([self._connection.finished], timeout=LAST_WORDS_S)
            self._connection.close()
        self._ended.set_result(driver_protocol.Ended(pid=self.pid, exit_code=exit_code))

    async def call(self, row: Method[P, R], params: P, *, timeout_s: float = 5.0) -> R:
        """Call a method of the driver.

        Raises:
            errors.CapabilityError: the driver does not serve the method; nothing was asked.
            errors.DriverLost: the driver ended; whether the call had an effect is unknown.
            errors.InvalidReply: the answer does not fit the row.
            errors.GaoError: the driver's error, or the driver did not answer in time.
        """
        told = await self.relay(row.name, msgspec.to_builtins(params), timeout_s=timeout_s)
        return convert.reply(row.name, told, row.result)

    async def relay(
        self, method: str, params: anyjson.Object, *, timeout_s: float = 5.0
    ) -> anyjson.Object:
        """Call a method by its name, with unchecked JSON data; otherwise like ``call``.

        Raises:
            errors.InvalidReply: the answer is not an object.
        """
        if self._connection is None:
            raise errors.DriverLost(f"driver {self.pid} has no connection")
        self.require(method)
        try:
            result = await self._connection.call(method, params, timeout_s=timeout_s)
        except errors.ConnectionLost as exc:
            raise errors.DriverLost(
                f"driver {self.pid} ended during {method}", remedy=f"see {self._log}"
            ) from exc
        if not isinstance(result, dict):
            raise errors.InvalidReply(f"{method}: the driver's answer is no object")
        return result

    def alive(self) -> bool:
        """Whether the process runs, as far as the kernel says now."""
        if self._ended.done():
            return False
        return processes.alive(self.forked.pid, self.forked.start_time)

    def require(self, *methods: str) -> None:
        """Refuse, before anything changes, what needs methods that the driver does not serve.

        Raises:
            errors.CapabilityError: names these methods.
        """
        served = self._connection.callable if self._connection is not None else frozenset()
        missing = [method for method in methods if method not in served]
        if missing and served:
            raise errors.CapabilityError(
                f"driver {self.pid} does not serve {', '.join(missing)}: it is of another version",
                remedy="stop the VM and start it again: it gets a driver of this version",
                details={"missing": missing},
            )

    async def gone(self) -> driver_protocol.Ended:
        """Return when the process has ended."""
        return await asyncio.shield(self._ended)

    async def leave(self, limit_s: float) -> driver_protocol.Ended:
        """Ask the driver to leave; kill it after the limit. Several may call this."""
        if not self._ended.done():
            try:
                await self.call(table.EXIT, NOTHING, timeout_s=limit_s)
            except errors.GaoError as exc:
                logger.debug("driver %d: exit: %s", self.pid, exc)
            if self._connection is not None:
                self._connection.close()
        return await self.see_out(limit_s)

    async def see_out(self, limit_s: float) -> driver_protocol.Ended:
        """Wait until a driver that was told to leave ends; kill it after the limit."""
        try:
            async with asyncio.timeout(limit_s):
                return await self.gone()
        except TimeoutError:
            logger.error("driver %d does not leave; killing it", self.pid)
            self._kill()
        return await self.gone()

    def _kill(self) -> None:
        # The kernel may have given the pid to another process meanwhile.
        if processes.alive(self.forked.pid, self.forked.start_time):
            os.kill(self.forked.pid, signal.SIGKILL)


class ForkLauncher:
    """Starts drivers. Implements ``start.Launcher``."""

    def __init__(self, source: forks.Forks) -> None:
        self._source = source

    async def launch(self, vm: machine.Machine) -> Link:
        """Start a driver, up to its handshake; a failed or cancelled call leaves none behind.

        Raises:
            errors.DriverStartFailed: no fork, or no hello in time.
        """
        token = os.urandom(32).hex()
        begin = clock.monotonic()
        forked, ours = await self._fork(vm, token)
        link = self._link(vm, forked, self._source)
        try:
            made = await self._shake_hands(vm, ours, token)
        except BaseException:
            # Without its socket the driver leaves by itself; it has no VM yet.
            await tasks.finish(link.see_out(driver_protocol.LEAVE_S))
            raise
        vm.timings["fork_to_hello_ms"] = round((clock.monotonic() - begin) * 1000, 2)
        _connect(vm, link, made)
        if (level := vm.fleet.log_levels.get(vm.name)) is not None:
            vm.fleet.background(f"vm {vm.name}: log level", _set_level(link, level))
        return link

    async def _fork(self, vm: machine.Machine, token: str) -> tuple[forks.Forked, socket.socket]:
        """Fork a driver's process; return it and our end of its connection.

        Raises:
            errors.DescriptorsScarce: the descriptors that are left are reserved, to end VMs.
            errors.DriverStartFailed: there was no fork.
        """
        name, log = vm.name, vm.fleet.paths.driver_log(vm.name)
        if descriptors.scarce(descriptors.VM_RESERVE):
            raise errors.DescriptorsScarce(
                f"VM {name} is not started: few of the {descriptors.limit()} descriptors that the "
                "daemon may open are left",
                remedy="stop another VM, or raise the limit: `ulimit -n`, LimitNOFILE= of the unit",
            )
        for left in reversed(range(FORK_ATTEMPTS)):
            # Each attempt has its own pair: a zygote that died may have forked all the same, and
            # that driver leaves when its end is closed.
            ours, theirs = socket.socketpair()
            try:
                return await self._source.fork(name, token, log, theirs), ours
            except BaseException as exc:
                ours.close()
                lost = isinstance(exc, errors.DriverStartFailed) and exc.retriable
                if not lost or not left:
                    raise
                logger.warning("vm %s: %s; asking the next one", name, exc, extra={"vm": name})
            finally:
                theirs.close()
        raise errors.InternalError("no attempt was made")

    async def resume(self, vm: machine.Machine, given: Driver, source: Source | None) -> Link:
        """Return the link to a driver that the code before an upgrade launched.

        Raises:
            errors.HandshakeError: this code does not speak the driver's protocol any more. The
                driver sees the end of its connection and leaves.
        """
        forked = forks.Forked(pid=given.pid, start_time=given.start_time)
        sock = socket.socket(fileno=given.fd)
        made = await handover.resume(sock, [_service(vm, None)], given.connection, first=False)
        link = self._link(vm, forked, source or self._source)
        _connect(vm, link, made)
        return link

    @staticmethod
    def _link(vm: machine.Machine, forked: forks.Forked, source: Source) -> Link:
        link = Link(forked, source, vm.fleet.paths.driver_log(vm.name))
        vm.fleet.background(f"vm {vm.name}: driver {forked.pid} process", link.watch())
        return link

    @steps.step
    async def _shake_hands(
        self, vm: machine.Machine, ours: socket.socket, token: str
    ) -> handover.Movable:
        made = handover.Movable(
            [_service(vm, token)],
            first=False,
            name=f"driver of {vm.name}",
            handshake_s=HANDSHAKE_S,
        )
        try:
            await connection.attach(made, ours)
        except errors.GaoError as exc:
            raise errors.DriverStartFailed(
                f"the driver of VM {vm.name} did not say hello: {exc}",
                remedy=f"see {vm.fleet.paths.driver_log(vm.name)}",
            ) from exc
        return made


async def _set_level(link: Link, level: str) -> None:
    """Give the VM's next driver the log level that somebody asked for before."""
    wanted = convert.params({"level": level}, wire.LogLevel)
    try:
        await link.call(table.LOG_LEVEL, wanted)
    except errors.GaoError as exc:
        logger.warning("the log level of driver %d was not changed: %s", link.pid, exc)


def _connect(vm: machine.Machine, link: Link, made: handover.Movable) -> None:
    link.attach(made)
    seeing_out = f"vm {vm.name}: link"
    made.on_close(lambda: vm.fleet.background(seeing_out, link.see_out(SEE_OUT_S)))


def _service(vm: machine.Machine, token: str | None) -> connection.Service:
    """Return what the daemon serves to a driver: it takes reports."""

    def on_notification(method: str, params: anyjson.Object, _: connection.Connection) -> None:
        reports.on_notification(vm, method, old_drivers.translate(params))

    offer = hello.Offer(methods.DRIVER, table.NAMES, required=table.CORE)
    terms = peer.Terms(offer, expected_token=token)
    return connection.Service(terms, _refuse, on_notification=on_notification)


async def _refuse(method: str, params: anyjson.Object, _: connection.Request) -> Any:
    if method == methods.PING:
        return {"ok": True}
    raise errors.UnknownMethod(f"Unknown method: {method}")
