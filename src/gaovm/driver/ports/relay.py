"""Stream connections of the host that lead into the guest, through the agent.

Half-close works in both directions; the host resets a connection that the guest refuses.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import struct
from collections.abc import Callable
from typing import NamedTuple

from gaovm import errors
from gaovm.aio import tasks
from gaovm.guestmanager import ports
from gaovm.guestmanager.transport.connection import Connection
from gaovm.wire.agent.tunnel import Network

logger = logging.getLogger(__name__)
MAX_CONNECTIONS = 192
CHUNK = 64 << 10
_RESET = struct.pack("ii", 1, 0)
GetConnection = Callable[[], Connection]


class Inside(NamedTuple):
    """The guest's end of a forward: ``address`` as ``HOST:PORT``, or a path for ``unix``."""

    network: Network
    address: str


def inside(network: Network, ip: str, port: int) -> Inside:
    """Return the guest's end at an IP address."""
    return Inside(network, f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}")


class Relay:
    """Accepts and carries connections, at most ``MAX_CONNECTIONS`` at once for all forwards."""

    def __init__(self, owner: tasks.TaskOwner, get_connection: GetConnection) -> None:
        self._owner, self._get_connection = owner, get_connection
        self._free = asyncio.Semaphore(MAX_CONNECTIONS)

    def serve(
        self, sock: socket.socket, name: str, inside: Callable[[], Inside | None]
    ) -> asyncio.Task[None]:
        """Accept connections until the task is cancelled; None: the guest has no end now."""
        return self._owner.start(self._accept(sock, name, inside), name=name, finishable=True)

    async def _accept(
        self, sock: socket.socket, name: str, inside: Callable[[], Inside | None]
    ) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._free.acquire()
            try:
                client, _ = await loop.sock_accept(sock)
            except OSError:
                self._free.release()
                await asyncio.sleep(0.1)  # out of descriptors: give connections time to end
                continue
            except BaseException:
                self._free.release()
                raise
            work = self._carry(client, inside())
            self._owner.start(work, name=f"{name} connection", finishable=True)

    async def _carry(self, client: socket.socket, inside: Inside | None) -> None:
        try:
            client.setblocking(False)
            if client.family != socket.AF_UNIX:
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if inside is None:
                raise errors.GuestUnavailable("nobody listens in the guest")
            tunnel = await ports.Tunnel.connect(
                self._get_connection(), inside.address, inside.network
            )
            await carry(client, tunnel)
        except (errors.GaoError, OSError, ExceptionGroup) as exc:
            logger.debug("forward to %s: %s", inside and inside.address, exc)
            reset(client)
        finally:
            self._free.release()
            client.close()


async def carry(client: socket.socket, tunnel: ports.Tunnel) -> None:
    """Carry both directions between a socket of the host and a tunnel until both have ended.

    Raises:
        errors.GaoError, OSError, ExceptionGroup: a direction broke.
    """
    async with tunnel:
        async with asyncio.TaskGroup() as group:
            group.create_task(_to_guest(client, tunnel))
            group.create_task(_to_client(client, tunnel))
        await tunnel.ended()


def reset(client: socket.socket) -> None:
    """Translate: a stream that broke inside becomes a reset outside, when the socket is closed."""
    with contextlib.suppress(OSError):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


async def _to_guest(client: socket.socket, tunnel: ports.Tunnel) -> None:
    loop = asyncio.get_running_loop()
    while data := await loop.sock_recv(client, CHUNK):
        if not await tunnel.write(data):
            return
    await tunnel.end()


async def _to_client(client: socket.socket, tunnel: ports.Tunnel) -> None:
    loop = asyncio.get_running_loop()
    while data := await tunnel.read():
        await loop.sock_sendall(client, data)
    client.shutdown(socket.SHUT_WR)
