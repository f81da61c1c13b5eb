"""The guest through its agent: readiness, set-up after each boot, and whether it still answers.

Readiness is pushed by the agent's first line. Then the guest is configured, provisioned and
probed, once a boot; an agent that only lost its connection is configured again and nothing more.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Callable
from pathlib import Path

import msgspec

from gaovm import errors
from gaovm.aio import clock, steps, tasks
from gaovm.builder.qemu import network
from gaovm.builder.qemu.document import ShareDevice
from gaovm.driver import agentlog, booted, provision, terminal, timekeeping
from gaovm.driver.logs import StampedLog
from gaovm.driver.status import Status
from gaovm.guestmanager import channel, guest, mounts, users
from gaovm.guestmanager.connection import Connection
from gaovm.spec.guest import Probe, Script
from gaovm.wire.agent.guest import Configuration
from gaovm.wire.agent.handshake import Hello
from gaovm.wire.agent.mounts import Mount
from gaovm.wire.driver.launch import LaunchRequest

logger = logging.getLogger(__name__)

PING_EVERY_S = 10.0
LOST_GRACE_S = 2.0
CONFIGURED_LIMIT_S = 60.0
NETWORK_LIMIT_S = 20.0
ENTROPY_BYTES = 32
#: What Lima calls the host in the guest.
HOST_NAME = "host.lima.internal"


class GuestLink:
    """One guest's agent; implements ``channel.Listener``."""

    def __init__(
        self,
        request: LaunchRequest,
        shares: tuple[ShareDevice, ...],
        status: Status,
        owner: tasks.TaskOwner,
        on_answer: Callable[[], None],
    ) -> None:
        self._request, self._shares, self._status = request, shares, status
        self._owner, self._on_answer = owner, on_answer
        self._channel: channel.Channel | None = None
        self._work: list[asyncio.Task[None]] = []
        self._lost: asyncio.TimerHandle | None = None
        self._watchdog = request.spec.supervision.watchdog
        self._answers = True
        self._settled: tuple[str, errors.GaoError | None] | None = None
        self._configured = asyncio.Event()
        self._log = agentlog.AgentLog(
            Path(request.disk).with_name("agent.log"), request.spec.name, owner
        )
        self._agent: object = None
        self._clock = timekeeping.Timekeeper()
        self.answered = False

    @steps.step
    async def open(self, sock: socket.socket) -> None:
        """Listen for the agent on our end of its port."""
        self._channel = await channel.Channel.open(sock, self)
        self._clock.open()

    @property
    def connection(self) -> Connection:
        """The connection now.

        Raises:
            errors.GuestUnavailable: there is none, or the agent does not answer.
        """
        found = None if self._channel is None else self._channel.connection
        if found is None:
            raise errors.GuestUnavailable("the guest's agent is not connected")
        if not self._answers:
            raise errors.GuestUnavailable("the guest's agent does not answer")
        return found

    async def usable(self) -> Connection:
        """The connection, once user, mounts and environment are made.

        ``agent`` is told as soon as the agent answers; what acts in the guest waits here for the
        moments until it can act as the user and in the mounts.

        Raises:
            errors.GuestUnavailable: there is no connection, or the set-up takes too long.
        """
        _ = self.connection  # without one there is nothing to wait for
        try:
            async with asyncio.timeout(CONFIGURED_LIMIT_S):
                await self._configured.wait()
        except TimeoutError as exc:
            raise errors.GuestUnavailable("the guest is still being set up") from exc
        return self.connection

    async def set_environment(self, env: dict[str, str]) -> None:
        """Give every later command another environment, also after the guest's own reboot.

        Raises:
            errors.GuestUnavailable, errors.GuestCallFailed: later set-ups use it all the same.
        """
        spec = self._request.spec
        inside = msgspec.structs.replace(spec.guest, env=env)
        spec = msgspec.structs.replace(spec, guest=inside)
        self._request = msgspec.structs.replace(self._request, spec=spec)
        await guest.configure(await self.usable(), Configuration(env=env))

    def provision_again(self, scripts: tuple[Script, ...], probes: tuple[Probe, ...]) -> None:
        """Set the guest up once more, with these scripts and probes; the state tells how it goes.

        Raises:
            errors.GuestUnavailable: there is no connection.
            errors.StateConflict: the guest is still being set up, or its scripts run.
        """
        connection = self.connection
        if self._settled is None:
            raise errors.StateConflict(
                "the guest is still being set up", actions=(errors.Action("wait_for_vm"),)
            )
        spec = self._request.spec
        inside = msgspec.structs.replace(spec.guest, provision=scripts, probes=probes)
        spec = msgspec.structs.replace(spec, guest=inside)
        self._request = msgspec.structs.replace(self._request, spec=spec, provision=True)
        self._settled = None
        self._log.end()
        self._cancel_work()
        self._ready("agent")
        self._begin_set_up(connection)

    def restart(self) -> None:
        """The guest was reset: everything is to be done again when its agent says hello."""
        self._settled = None
        self.answered = False
        if self._channel is not None:
            self._channel.reset("the guest was reset")
        self._forget_lost()

    def on_port(self, *, is_open: bool) -> None:
        """The agent has opened or closed its port; one that opens it again soon is not lost."""
        if is_open:
            self._forget_lost()
        elif self.answered:
            self._await_lost(errors.GuestUnavailable("the guest's agent has closed its port"))

    def resumed(self, *, recovered: bool) -> None:
        """The VM goes on after a pause; ``recovered``: from an error of the hypervisor."""
        if recovered and self._settled is not None:
            self._ready(*self._settled)
        self._clock.jump()  # it stood still

    def close(self) -> None:
        """End the channel and the set-up. Idempotent."""
        self._forget_lost()
        self._cancel_work()
        if self._channel is not None:
            self._channel.close()
        self._forget_lost()
        self._clock.close()
        self._log.close()

    def relevel(self) -> None:
        """The log level has changed; the agent is told."""
        self._log.relevel()

    # the channel's listener

    def on_connected(self, connection: Connection, hello: Hello) -> None:
        self._forget_lost()
        self._cancel_work()
        self.answered = True
        self._on_answer()
        if not self._answers:
            self._answers = True
            self._tell("responsive", "the agent is connected again")
        self._agent = (hello.pid, hello.boot_ms)
        self._status.progress("agent", f"agent {hello.version[:40]} answers")
        self._begin_set_up(connection)

    def _begin_set_up(self, connection: Connection) -> None:
        self._work = [
            self._owner.start(self._set_up(connection), name="guest set-up", finishable=True),
            self._owner.start(self._keep_alive(connection), name="guest ping", finishable=True),
        ]

    def on_lost(self, error: errors.GaoError) -> None:
        self._configured.clear()
        self._log.end()
        self._cancel_work()
        if self.answered:
            self._await_lost(error)

    # inside

    def _await_lost(self, error: errors.GaoError) -> None:
        if self._status.observed == "running" and self._lost is None:
            # A guest that powers off loses its agent too: its end is told by QEMU within the grace.
            loop = asyncio.get_running_loop()
            self._lost = loop.call_later(LOST_GRACE_S, self._tell_lost, error)

    def _tell_lost(self, error: errors.GaoError) -> None:
        self._lost = None
        if self._channel is not None and self._channel.connection is not None:
            self._channel.reset(error.message)  # a port that was closed and not opened again
            self._forget_lost()
        self._ready("degraded", error, "agent_lost")
        # It is in the guest's hands whether it comes back: a power-off may take its time.
        self._await_silent(self._watchdog.timeout_s - LOST_GRACE_S, error)

    def _await_silent(self, wait_s: float, error: errors.GaoError) -> None:
        loop = asyncio.get_running_loop()
        self._lost = loop.call_later(wait_s, self._tell_silent, error)

    def _tell_silent(self, error: errors.GaoError) -> None:
        if self._status.paused:  # nobody can come back now
            self._await_silent(PING_EVERY_S, error)
        else:
            self._set_answers(False, "agent_lost", error)

    def _forget_lost(self) -> None:
        if self._lost is not None:
            self._lost.cancel()
            self._lost = None

    def _cancel_work(self) -> None:
        for task in self._work:
            task.cancel()
        self._work = []

    def _ready(
        self, readiness: str, error: errors.GaoError | None = None, reason: str | None = None
    ) -> None:
        if self._status.observed == "running":
            self._status.change("running", readiness, reason=reason, error=error)

    @steps.step
    def _settle(self, readiness: str, error: errors.GaoError | None = None) -> None:
        self._settled = (readiness, error)
        self._ready(readiness, error)

    async def _set_up(self, connection: Connection) -> None:
        try:
            if self._settled is None:
                self._ready("agent")
            try:
                await self._configure(connection)
            except errors.GaoError:
                self._settle_in(connection)  # degraded, but there for inspection
                raise
            self._settle_in(connection)
            if self._settled is not None:
                self._ready(*self._settled)
                return
            await self._await_network(connection)
            self._offer_terminal(connection)
            await booted.wait(connection, self._status.progress)
            await self._set_clock(connection)
            await self._provision(connection)
        except errors.GuestUnavailable as exc:
            if self._channel is None or self._channel.connection is connection:
                self._ready("degraded", exc)
        except errors.GaoError as exc:
            self._settle("degraded", exc)
        else:
            self._settle("ready")

    async def _await_network(self, connection: Connection) -> None:
        """A guest that is called ready has its network; one whose network failed is of use too."""
        network = await guest.wait_online(connection, NETWORK_LIMIT_S)
        if network.state != "up":
            logger.warning("the guest's network: %s %s", network.state, network.detail[:200])

    def _offer_terminal(self, connection: Connection) -> None:
        spec = self._request.spec
        if spec.graphics.enabled:
            work = terminal.offer(connection, spec.guest.user.name)
            self._work.append(self._owner.start(work, name="terminal", finishable=True))

    def _settle_in(self, connection: Connection) -> None:
        """Calls may come now; what else is asked of the agent has stood in no call's way."""
        self._configured.set()
        self._log.begin(connection, self._agent)
        keeping = self._clock.keep(connection)
        self._work.append(self._owner.start(keeping, name="guest clock", finishable=True))

    @steps.step
    async def _configure(self, connection: Connection) -> None:
        what, opened = self._request.spec.guest, self._request.spec.network.host_access
        wanted = tuple(
            Mount(tag=s.tag, type=s.type, path=s.mount_point, writable=s.writable)
            for s in self._shares
        )
        configuration = Configuration(
            hostname=what.hostname,
            hosts={HOST_NAME: network.GATEWAY} if opened else {},
            unix_ns=round(clock.now() * 1e9),
            user=users.account(what.user),
            mounts=wanted,
            env=dict(what.env),
            entropy=guest.entropy(os.urandom(ENTROPY_BYTES)),
            watchdog=self._watchdog.device,
        )
        done = await guest.configure(connection, configuration)
        mounts.check(wanted, done.mounts)
        if self._watchdog.device:
            guest.check_watchdog(done)

    async def _provision(self, connection: Connection) -> None:
        what = self._request.spec.guest
        if not self._request.provision or not (what.provision or what.probes):
            return
        log = StampedLog(Path(self._request.disk).with_name("provision.log"))
        try:
            self._ready("provisioning")
            await provision.run(connection, what, log, self._status.progress)
            if what.probes:
                self._ready("probing")
                await provision.probe(connection, what, log, self._status.progress)
        finally:
            log.close()

    async def _keep_alive(self, connection: Connection) -> None:
        if not self._watchdog.heartbeat:
            return
        every_s = min(PING_EVERY_S, self._watchdog.timeout_s / 3)
        limit_s = self._watchdog.timeout_s - every_s
        while True:
            await asyncio.sleep(every_s)
            pauses = self._status.pauses
            try:
                await connection.ping(limit_s)
            except TimeoutError:
                if pauses == self._status.pauses and not self._status.paused:
                    error = errors.GuestUnavailable(
                        f"the agent did not answer within {self._watchdog.timeout_s} s"
                    )
                    self._set_answers(False, "unresponsive", error)
            except errors.GaoError:
                return
            else:
                self._set_answers(True)

    def _set_answers(
        self, answers: bool, reason: str | None = None, error: errors.GaoError | None = None
    ) -> None:
        if answers == self._answers:
            return
        self._answers = answers
        if error is not None:
            self._tell("unresponsive", error.message)
            self._ready("degraded", error, reason)
        else:
            self._tell("responsive", "the agent answers again")
            if self._settled is not None:
                self._ready(*self._settled)

    def _tell(self, kind: str, detail: str) -> None:
        if self._watchdog.heartbeat:
            self._status.health(kind, detail)

    async def _set_clock(self, connection: Connection) -> None:
        """A guest that is called ready has our time; one with an older agent has it roughly."""
        with contextlib.suppress(errors.GuestCallFailed):
            await self._clock.set(connection)
