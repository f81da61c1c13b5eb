"""Ports and sockets of the host that the guest reaches: the agent listens, the driver connects.

The driver itself may connect nowhere once it has dropped its rights, so a process that it forks
before that does (``platform.confine.connector``).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import msgspec

from gaovm import errors
from gaovm.aio import process, sockets, tasks
from gaovm.builder.network import HOST_PORTS
from gaovm.driver.ports import relay
from gaovm.guestmanager import offers, ports
from gaovm.guestmanager.transport.connection import Connection
from gaovm.platform.confine import connector
from gaovm.platform.made_sockets import DIRECTORY
from gaovm.spec.guest import User
from gaovm.spec.network import Network
from gaovm.wire.agent.offer import Offer
from gaovm.wire.driver import results

logger = logging.getLogger(__name__)
MAX_CONNECTIONS = 64
RETRY_S = 5.0
ANSWER_S = 5.0


@dataclass(eq=False)
class _End:
    """One end of the host's in the guest; ``problem``: why the guest does not have it."""

    offer: Offer
    target: connector.Target
    shown: results.Port
    problem: str | None = None


class Reverse:
    """All ends of the host's in one guest; calls ``changed`` when one begins or ceases to work."""

    def __init__(self, owner: tasks.TaskOwner, changed: Callable[[], None]) -> None:
        self._owner, self._changed = owner, changed
        self._ends: list[_End] = []
        self._stack = AsyncExitStack()
        self._sock: socket.socket | None = None
        self._asking, self._asked = asyncio.Lock(), 0
        self._free = asyncio.Semaphore(MAX_CONNECTIONS)
        self._tasks: list[asyncio.Task[None]] = []

    async def configure(self, network: Network, user: User, vm_dir: Path) -> None:
        """Take what the guest may reach, and fork the process that connects."""
        single = () if network.host_access else network.host_ports
        self._ends = [_of_port(port) for port in single]
        for each in network.sockets:
            if each.reverse:
                path = str(vm_dir / DIRECTORY / each.host_socket)
                offer = Offer(network="unix", address=each.guest_socket, uid=user.uid, gid=user.gid)
                shown = results.Port(
                    guest_port=0,
                    host_port=0,
                    guest_ip="",
                    host_ip="",
                    guest_socket=each.guest_socket,
                    host_socket=each.host_socket,
                    reverse=True,
                )
                self._ends.append(_End(offer, connector.Target(path), shown))
        if self._ends:
            pid, self._sock = connector.fork([end.target for end in self._ends])
            await self._stack.enter_async_context(process.adopt(pid, grace_s=ANSWER_S))

    def describe(self) -> tuple[results.Port, ...]:
        """All ends, in the order of the config."""
        return tuple(_described(end) for end in self._ends)

    def begin(self, connection: Connection) -> None:
        """Let the guest have the ends, on a new connection to its agent."""
        self.end()
        for number, end in enumerate(self._ends):
            work = self._offer(connection, number, end)
            self._tasks.append(self._owner.start(work, name="offer", finishable=True))

    def end(self) -> None:
        """Take the ends back, as the connection is lost. Idempotent."""
        for task in self._tasks:
            task.cancel()
        self._tasks = []

    async def close(self) -> None:
        """Take the ends back, and end the process that connects. Idempotent."""
        ended, self._tasks = self._tasks, []
        await tasks.cancel_and_wait(*ended)
        if self._sock is not None:
            self._sock.close()
            self._sock = None
        await self._stack.aclose()
        self._ends = []

    async def _offer(self, connection: Connection, number: int, end: _End) -> None:
        while True:
            try:
                async with contextlib.aclosing(offers.accept(connection, end.offer)) as accepted:
                    async for id in accepted:
                        if id:
                            work = self._carry(connection, number, id)
                            self._owner.start(work, name="offered connection", finishable=True)
                        else:
                            self._note(end, None)
            except errors.GuestUnavailable:
                return
            except errors.GaoError as exc:
                self._note(end, exc.message[:500])
            await asyncio.sleep(RETRY_S)  # a program of the guest may have the port

    def _note(self, end: _End, problem: str | None) -> None:
        if problem != end.problem:
            end.problem = problem
            if problem is not None:
                logger.warning("%s is not in the guest: %s", end.offer.address, problem)
            self._changed()

    async def _carry(self, connection: Connection, number: int, id: str) -> None:
        if self._free.locked():
            return  # the agent ends a connection that nobody takes
        async with self._free:
            try:
                tunnel = await ports.Tunnel.connect(connection, id, "accepted")
                async with tunnel:
                    with await self._connected(number) as host:
                        try:
                            await relay.carry(host, tunnel)
                        except BaseException:
                            relay.reset(host)
                            raise
            except (errors.GaoError, OSError, ExceptionGroup) as exc:
                logger.debug("a connection of the guest to the host: %s", exc)

    async def _connected(self, number: int) -> socket.socket:
        async with self._asking:
            if self._sock is None:
                raise errors.HostError("the VM is stopping")
            self._asked += 1
            question = connector.question(self._asked, number)
            await asyncio.get_running_loop().sock_sendall(self._sock, question)
            made = None
            while made is None:
                await sockets.readable(self._sock.fileno())
                made = connector.receive(self._sock, self._asked)
        made.setblocking(False)
        return made


def _of_port(port: int) -> _End:
    shown = results.Port(
        guest_ip=HOST_PORTS, guest_port=port, host_ip="127.0.0.1", host_port=port, reverse=True
    )
    offer = Offer(network="tcp", address=f"{HOST_PORTS}:{port}")
    return _End(offer, connector.Target(port=port), shown)


def _described(end: _End) -> results.Port:
    if end.problem is None:
        return end.shown
    return msgspec.structs.replace(end.shown, problem=end.problem, state="refused")
