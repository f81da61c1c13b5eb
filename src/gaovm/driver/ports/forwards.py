"""All ports and sockets of a VM that lead from the host into the guest.

What is always open is bound before the hypervisor starts, so that a taken port fails the start.
What follows the guest's servers (``following``) is opened and closed while the VM runs.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gaovm import errors
from gaovm.aio import steps, tasks
from gaovm.driver.ports import binding, relay
from gaovm.driver.ports.datagrams import Datagrams
from gaovm.driver.ports.following import Following
from gaovm.driver.ports.host_sockets import HostSockets
from gaovm.driver.ports.reverse import Reverse
from gaovm.guestmanager.transport.connection import Connection
from gaovm.spec.network import Network
from gaovm.spec.portrules import Followed, Rule
from gaovm.spec.ports import PortForward, SocketForward, covers
from gaovm.wire.driver import results
from gaovm.wire.driver.launch import LaunchRequest
from gaovm.wire.driver.params import RemovePort

logger = logging.getLogger(__name__)
#: Between two reports to the daemon, which keeps each of them.
TELL_S = 0.5


@dataclass(frozen=True, eq=False)
class Forward:
    """A host port that is always open; ``port`` is the one that it got.

    ``lost``: the host port of the last start, if the forward could not get it again.
    """

    wanted: PortForward
    sock: socket.socket
    port: int
    lost: int | None = None

    def describe(self) -> results.Port:
        """Return what the daemon hears about it."""
        return results.Port(
            guest_ip=self.wanted.guest_ip,
            guest_port=self.wanted.guest_port,
            host_ip=self.wanted.host_ip,
            host_port=self.port,
            source="config" if self.wanted.field else "added",
            lost_host_port=self.lost,
            proto=self.wanted.proto,
        )


@dataclass(frozen=True, eq=False)
class _Socket:
    """A forward whose end in the guest is a socket; ``sock`` None: it could not be made."""

    wanted: SocketForward
    sock: socket.socket | None
    problem: errors.GaoError | None = None

    def describe(self) -> results.Port:
        port = 0
        if self.sock is not None and not self.wanted.host_socket:
            port = self.sock.getsockname()[1]
        return results.Port(
            guest_port=0,
            guest_ip="",
            guest_socket=self.wanted.guest_socket,
            host_ip="" if self.wanted.host_socket else self.wanted.host_ip,
            host_port=port,
            host_socket=self.wanted.host_socket,
            state="forwarded" if self.problem is None else "taken",
            problem=None if self.problem is None else self.problem.message[:500],
        )


class Ports:
    """All forwards of a VM; calls ``changed`` when they change by what happens in the guest."""

    def __init__(
        self,
        owner: tasks.TaskOwner,
        get_connection: relay.GetConnection,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._relay = relay.Relay(owner, get_connection)
        self._datagrams = Datagrams(owner, get_connection)
        self._forwards: dict[Forward, asyncio.Task[None] | None] = {}
        self._coming: list[PortForward] = []
        self._sockets: list[_Socket] = []
        self._rule_sockets: dict[str, socket.socket] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._files = HostSockets()
        self._serving = False
        self._tell, self._silent, self._again = changed, True, False
        self._timer: asyncio.TimerHandle | None = None
        self._following = Following(
            owner, self._relay, self._datagrams, self._is_served, self._changed
        )
        self._reverse = Reverse(owner, self._changed)

    # before the start

    def bind_all(self, request: LaunchRequest) -> None:
        """Bind what is always open, and take the rules. Raises as ``bind``."""
        self._silent = False
        network, vm_dir = request.spec.network, Path(request.vm_dir)
        pairs = zip(
            network.ports, itertools.chain(request.host_ports, itertools.repeat(0)), strict=False
        )
        # bind the forwards with a fixed port before those that take any port
        for forward, port in sorted(pairs, key=lambda pair: pair[0].host_port == 0):
            self.bind(forward, earlier=port)
        for wanted in network.sockets:
            if not wanted.reverse:
                self._sockets.append(self._bind_socket(wanted, vm_dir))
        earlier = {(port.proto, port.guest_port): port.host_port for port in request.followed}
        self._following.configure(network.rules, earlier, self._bind_rules(network, vm_dir))

    async def offer(self, request: LaunchRequest) -> None:
        """Get ready to let the guest reach single ports and sockets of the host."""
        spec = request.spec
        await self._reverse.configure(spec.network, spec.guest.user, Path(request.vm_dir))

    def _bind_socket(self, wanted: SocketForward, vm_dir: Path) -> _Socket:
        try:
            if wanted.host_socket:
                sock = self._files.bind(vm_dir, wanted.host_socket, wanted.field)
            else:
                sock = binding.bind("tcp", wanted.host_ip, wanted.host_port, wanted.field)
        except errors.GaoError as exc:
            if wanted.static:
                raise
            logger.warning("%s", exc)
            return _Socket(wanted, None, exc)
        return _Socket(wanted, sock)

    def _bind_rules(self, network: Network, vm_dir: Path) -> dict[str, str]:
        """Make the socket files of rules; return why not, by path, "" for those that are made."""
        made: dict[str, str] = {}
        for rule in network.rules:
            path = rule.host_socket
            if not path or path in made or rule.ignore:
                continue
            try:
                self._rule_sockets[path] = self._files.bind(vm_dir, path, rule.field or None)
                made[path] = ""
            except errors.GaoError as exc:
                logger.warning("%s", exc)
                made[path] = exc.message
        return made

    @steps.step
    def bind(self, wanted: PortForward, *, earlier: int = 0) -> Forward:
        """Bind one; it is served at once if the VM runs, else from ``serve`` on.

        A forward that takes any host port gets ``earlier`` again, if that is free.

        Raises:
            errors.PortTaken: the port is in use; the message names the owner.
            errors.PermissionMissing: the port needs a right that this user lacks.
            errors.InvalidParams: this host does not have the address.
        """
        lost = None
        try:
            sock = _bind(wanted, wanted.host_port or earlier)
        except errors.PortTaken as exc:
            if wanted.host_port:
                raise
            logger.warning("%s, which this forward had; another is used", exc)
            lost, sock = earlier, _bind(wanted, 0)
        forward = Forward(wanted, sock, sock.getsockname()[1], lost)
        self._forwards[forward] = self._start(forward) if self._serving else None
        return forward

    # while the VM runs

    async def add(self, wanted: PortForward) -> Forward:
        """Bind one more; a forward that follows a server gives way to it. Raises as ``bind``."""
        self._coming.append(wanted)
        try:
            await self._following.refresh()
            return self.bind(wanted)
        finally:
            self._coming.remove(wanted)
            await self._following.refresh()

    @steps.step
    def serve(self) -> None:
        """Accept connections from now on. Idempotent."""
        if self._serving:
            return
        self._serving = True
        for forward, task in self._forwards.items():
            if task is None:
                self._forwards[forward] = self._start(forward)
        for each in self._sockets:
            if each.sock is not None:
                end = functools.partial(relay.Inside, "unix", each.wanted.guest_socket)
                self._tasks.append(self._relay.serve(each.sock, "socket", end))
        for path, sock in self._rule_sockets.items():
            now = functools.partial(self._following.inside_of, path)
            self._tasks.append(self._relay.serve(sock, "socket", now))

    def follow(self, connection: Connection) -> None:
        """Let the host ports follow the guest's servers, whose agent has connected."""
        self._following.begin(connection)
        self._reverse.begin(connection)

    def unfollow(self) -> None:
        """Close what follows the guest's servers: nobody knows them any more. Idempotent."""
        self._following.end()
        self._reverse.end()

    async def set_rules(self, rules: tuple[Rule, ...]) -> None:
        """Let other rules decide from now on."""
        await self._following.set_rules(rules)

    @property
    def problem(self) -> str | None:
        """What keeps some of the guest's servers from being forwarded at all."""
        return self._following.problem

    def describe(self) -> tuple[results.Port, ...]:
        """All forwards: those that are always open, in the order they were bound, then others."""
        fixed = [forward.describe() for forward in self._forwards]
        sockets = [each.describe() for each in self._sockets]
        return (*fixed, *sockets, *self._following.describe(), *self._reverse.describe())

    async def remove(self, wanted: RemovePort) -> tuple[results.Port, ...]:
        """Close the listeners that match everything given; their connections live on.

        Raises:
            errors.NotFound: no listener matches.
        """
        found = [
            forward
            for forward in self._forwards
            if wanted.host_port in (None, forward.port)
            and wanted.guest_port in (None, forward.wanted.guest_port)
            and wanted.host_ip in (None, forward.wanted.host_ip)
            and wanted.proto in (None, forward.wanted.proto)
        ]
        if not found:
            raise errors.NotFound("no such forwarded port")
        for forward in found:
            await self._close(forward)
        await self._following.refresh()  # a rule may want a host port that is free now
        return tuple(forward.describe() for forward in found)

    @steps.step
    async def close(self) -> None:
        """Close all listeners, and say nothing of it. Idempotent."""
        self._silent, self._serving = True, False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        await self._following.close()
        await self._reverse.close()
        for forward in list(self._forwards):
            await self._close(forward)
        await tasks.cancel_and_wait(*self._tasks)
        for sock in (*self._rule_sockets.values(), *(each.sock for each in self._sockets)):
            if sock is not None:
                sock.close()
        self._tasks, self._sockets, self._rule_sockets = [], [], {}
        self._files.close()

    async def _close(self, forward: Forward) -> None:
        task = self._forwards.pop(forward)
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        forward.sock.close()

    def _start(self, forward: Forward) -> asyncio.Task[None]:
        wanted = forward.wanted
        end = relay.inside(wanted.proto, wanted.guest_ip, wanted.guest_port)
        carrier = self._relay if wanted.proto == "tcp" else self._datagrams
        return carrier.serve(forward.sock, f"port {forward.port}", lambda: end)

    def _is_served(self, followed: Followed) -> bool:
        """Whether a forward that is always open has the host port, or serves the guest's port.

        The second counts for a rule that no user has written: nobody needs a second way.
        """
        target, written = followed.target, bool(followed.rule.field)
        held = [(each.wanted, each.port) for each in self._forwards]
        held += [(wanted, wanted.host_port) for wanted in self._coming]
        return any(
            (port == target.port and covers(wanted.host_ip, target.ip))
            or (wanted.guest_port == followed.guest_port and not written)
            for wanted, port in held
            if wanted.proto == followed.proto and not target.socket
        )

    def _changed(self) -> None:
        """Tell the daemon, at most twice a second: the guest decides how often this changes."""
        if self._silent:
            return
        if self._timer is not None:
            self._again = True
            return
        self._tell()
        self._timer = asyncio.get_running_loop().call_later(TELL_S, self._cooled)

    def _cooled(self) -> None:
        self._timer = None
        if self._again:
            self._again = False
            self._changed()


def _bind(wanted: PortForward, port: int) -> socket.socket:
    return binding.bind(wanted.proto, wanted.host_ip, port, wanted.field)
