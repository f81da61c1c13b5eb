"""The guest through its agent: the link to it, from its first line to the end of the VM.

The agent's first line says that it is ready. Then the driver configures, provisions and probes the
guest, once per boot. If an agent only lost its connection, the driver just configures it again.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import msgspec

from gaovm import errors
from gaovm.aio import steps, tasks
from gaovm.builder.document import ShareDevice
from gaovm.driver.guest import (
    agentlog,
    booted,
    presence,
    setup,
    sharewatch,
    sshmounts,
    terminal,
    timekeeping,
)
from gaovm.driver.guest.readiness import Readiness
from gaovm.driver.status import Status
from gaovm.guestmanager import guest
from gaovm.guestmanager.transport import channel
from gaovm.guestmanager.transport.connection import Connection
from gaovm.platform import timezones
from gaovm.wire.agent.guest import Configuration
from gaovm.wire.agent.handshake import Hello
from gaovm.wire.driver import params
from gaovm.wire.driver.launch import LaunchRequest

CONFIGURED_LIMIT_S = 60.0


class Follower(Protocol):
    """What follows the guest's servers (``ports.forwards.Ports``)."""

    def follow(self, connection: Connection) -> None: ...
    def unfollow(self) -> None: ...


class GuestLink:
    """One guest's agent; implements ``channel.Listener``."""

    def __init__(  # noqa: PLR0913  (the guest, and who hears of it or serves it)
        self,
        request: LaunchRequest,
        shares: tuple[ShareDevice, ...],
        status: Status,
        owner: tasks.TaskOwner,
        on_answer: Callable[[], None],
        ports: Follower,
        open_share: sshmounts.OpenShare,
    ) -> None:
        self._request, self._shares, self._status = request, shares, status
        self._owner, self._on_answer, self._ports = owner, on_answer, ports
        self._channel: channel.Channel | None = None
        self._work: list[asyncio.Task[None]] = []
        self._readiness = Readiness(status)
        self._presence = presence.Presence(
            request.spec.supervision.watchdog, status, self._readiness, self._drop
        )
        self._configured = asyncio.Event()
        self._log = agentlog.AgentLog(
            Path(request.disk).with_name("agent.log"), request.spec.name, owner
        )
        self._agent: object = None
        self._clock = timekeeping.Timekeeper()
        name = request.spec.guest.timezone
        # Now: later this process cannot read the host's files.
        self._zone = guest.zone(name, timezones.data(name))
        self._watch = sharewatch.ShareWatch(shares, status, owner)
        self._mounts = sshmounts.SshMounts(shares, owner, open_share)
        self.answered = False

    @steps.step
    async def open(self, sock: socket.socket) -> None:
        """Listen for the agent on our end of its port."""
        self._channel = await channel.Channel.open(sock, self)
        self._clock.open()
        self._watch.open()

    @property
    def connection(self) -> Connection:
        """The present connection.

        Raises:
            errors.GuestUnavailable: there is no connection, or the agent does not answer.
        """
        found = None if self._channel is None else self._channel.connection
        if found is None:
            raise errors.GuestUnavailable("the guest's agent is not connected")
        if not self._presence.answers:
            raise errors.GuestUnavailable("the guest's agent does not answer")
        return found

    async def usable(self) -> Connection:
        """Return the connection, once user, mounts and environment are made.

        The daemon hears of the agent as soon as it answers. What acts in the guest waits here a
        moment longer, until it can act as the user and in the mounts.

        Raises:
            errors.GuestUnavailable: there is no connection, or the set-up takes too long.
        """
        _ = self.connection  # raise at once if there is none
        try:
            async with asyncio.timeout(CONFIGURED_LIMIT_S):
                await self._configured.wait()
        except TimeoutError as exc:
            raise errors.GuestUnavailable("the guest is still being set up") from exc
        return self.connection

    async def set_environment(self, env: dict[str, str]) -> None:
        """Give every later command another environment, also after the guest reboots.

        Raises:
            errors.GuestUnavailable, errors.GuestCallFailed: later set-ups use it all the same.
        """
        spec = self._request.spec
        inside = msgspec.structs.replace(spec.guest, env=env)
        spec = msgspec.structs.replace(spec, guest=inside)
        self._request = msgspec.structs.replace(self._request, spec=spec)
        await guest.configure(await self.usable(), Configuration(env=env))

    async def set_names(self, wanted: params.Names) -> None:
        """Give the guest another time zone and other host names, also after it reboots.

        Raises:
            errors.GuestUnavailable, errors.GuestCallFailed: later set-ups use them all the same.
        """
        spec = self._request.spec
        inside = msgspec.structs.replace(spec.guest, hosts=wanted.hosts, timezone=wanted.timezone)
        spec = msgspec.structs.replace(spec, guest=inside)
        self._request = msgspec.structs.replace(self._request, spec=spec)
        self._zone = guest.zone(wanted.timezone, base64.b64decode(wanted.rules))
        changed = Configuration(hosts=setup.hosts(spec), timezone=self._zone)
        setup.check_zone(inside, await guest.configure(await self.usable(), changed))

    def provision_again(self, wanted: params.Provision) -> None:
        """Set the guest up again, with these scripts and probes; the state reports the progress.

        Raises:
            errors.GuestUnavailable: there is no connection.
            errors.StateConflict: the guest is still being set up, or its scripts run.
        """
        connection = self.connection
        if not self._readiness.settled:
            raise errors.StateConflict(
                "the guest is still being set up", actions=(errors.Action("wait_for_vm"),)
            )
        spec = self._request.spec
        inside = msgspec.structs.replace(
            spec.guest,
            provision=wanted.provision,
            probes=wanted.probes,
            copies=spec.guest.copies if wanted.copies is None else wanted.copies,
        )
        orders = msgspec.structs.replace(
            spec.supervision, set_up=wanted.set_up or spec.supervision.set_up
        )
        spec = msgspec.structs.replace(spec, guest=inside, supervision=orders)
        self._request = msgspec.structs.replace(self._request, spec=spec, provision=True)
        self._readiness.unsettle()
        self._log.end()
        self._watch.end()
        self._cancel_work()
        self._readiness.tell("agent")
        self._begin_set_up(connection)

    def restart(self) -> None:
        """Note that the guest was reset: set it up again when its agent says hello."""
        self._readiness.unsettle()
        self.answered = False
        if self._channel is not None:
            self._channel.reset("the guest was reset")
        self._presence.forget()

    def on_port(self, *, is_open: bool) -> None:
        """Note that the agent opened or closed its port; if it reopens it soon, it is not lost."""
        if is_open:
            self._presence.forget()
        elif self.answered:
            self._presence.lost(errors.GuestUnavailable("the guest's agent has closed its port"))

    def resumed(self, *, recovered: bool) -> None:
        """Note that the VM goes on after a pause; ``recovered``: from a hypervisor's error."""
        if recovered:
            self._readiness.tell_again()
        self._clock.jump()  # the guest's clock stood still

    def close(self) -> None:
        """End the channel and the set-up. Idempotent."""
        self._presence.forget()
        self._cancel_work()
        if self._channel is not None:
            self._channel.close()
        self._presence.forget()
        self._clock.close()
        self._watch.close()
        self._mounts.end()
        self._log.close()

    def relevel(self) -> None:
        """Tell the agent the new log level."""
        self._log.relevel()

    # the channel's listener

    def on_connected(self, connection: Connection, hello: Hello) -> None:
        self._presence.forget()
        self._cancel_work()
        self.answered = True
        self._on_answer()
        self._presence.back()
        self._agent = (hello.pid, hello.boot_ms)
        self._status.progress("agent", f"agent {hello.version[:40]} answers")
        self._begin_set_up(connection)

    def _begin_set_up(self, connection: Connection) -> None:
        self._work = [
            self._owner.start(self._set_up(connection), name="guest set-up", finishable=True),
            self._owner.start(self._presence.watch(connection), name="guest ping", finishable=True),
        ]

    def on_lost(self, error: errors.GaoError) -> None:
        self._configured.clear()
        self._ports.unfollow()
        self._log.end()
        self._watch.end()
        self._mounts.end()
        self._cancel_work()
        if self.answered:
            self._presence.lost(error)

    # inside

    def _drop(self, reason: str) -> None:
        """End the connection, if there is one."""
        if self._channel is not None and self._channel.connection is not None:
            self._channel.reset(reason)

    def _cancel_work(self) -> None:
        for task in self._work:
            task.cancel()
        self._work = []

    async def _set_up(self, connection: Connection) -> None:
        try:
            if not self._readiness.settled:
                self._readiness.tell("agent")
            try:
                await setup.configure(connection, self._request, self._shares, self._zone)
                await setup.mount_disks(connection, self._request)
            except errors.GaoError:
                self._settle_in(connection)  # degraded, but one can inspect it
                raise
            self._settle_in(connection)
            if self._readiness.settled:
                await self._mount(connection)
                self._readiness.tell_again()
                return
            told = (self._readiness, self._status.progress)
            await setup.run_early(connection, self._request, *told)
            # With a seed the distribution sets up the network, late in its boot; else the agent.
            seeded = self._request.artefacts.seed is not None
            if not seeded:
                await self._reach_network(connection)
            self._offer_terminal(connection)
            limit_s = self._request.spec.supervision.set_up.boot_s
            await booted.wait(connection, limit_s, self._status.progress)
            if seeded:
                await self._reach_network(connection)
            await self._set_clock(connection)
            await setup.trust(connection, self._request, self._status.progress)
            await setup.run_late(connection, self._request, *told)
        except errors.GuestUnavailable as exc:
            if self._channel is None or self._channel.connection is connection:
                self._readiness.tell("degraded", exc)
        except errors.GaoError as exc:
            self._readiness.settle("degraded", exc)
        else:
            self._readiness.settle("ready")

    async def _reach_network(self, connection: Connection) -> None:
        await setup.await_network(connection)
        await self._mount(connection)

    async def _mount(self, connection: Connection) -> None:
        user = self._request.spec.guest.user.name
        if self._mounts.wanted:
            await self._mounts.mount(connection, user, self._status.progress)

    def _offer_terminal(self, connection: Connection) -> None:
        spec = self._request.spec
        if spec.graphics.enabled:
            work = terminal.offer(connection, spec.guest.user.name)
            self._work.append(self._owner.start(work, name="terminal", finishable=True))

    def _settle_in(self, connection: Connection) -> None:
        """Allow calls from now on; only now start the rest, so that it delays no call."""
        self._configured.set()
        self._log.begin(connection, self._agent)
        self._ports.follow(connection)
        self._watch.begin(connection)
        keeping = self._clock.keep(connection)
        self._work.append(self._owner.start(keeping, name="guest clock", finishable=True))

    async def _set_clock(self, connection: Connection) -> None:
        """Set the clock: a guest that is called ready has our time, with an old agent roughly."""
        with contextlib.suppress(errors.GuestCallFailed):
            await self._clock.set(connection)
