"""Forwarded ports: host listeners whose connections go through the agent into the guest.

The driver binds listeners before the hypervisor starts, so a taken port fails the start. Half-close
works in both directions; the host resets a connection that the guest refuses.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import itertools
import logging
import socket
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gaovm import errors
from gaovm.aio import steps, tasks
from gaovm.guestmanager import ports
from gaovm.guestmanager.connection import Connection
from gaovm.hostfacts import listeners
from gaovm.spec.ports import PortForward
from gaovm.wire.driver import results
from gaovm.wire.driver.params import RemovePort

logger = logging.getLogger(__name__)
MAX_CONNECTIONS = 192
BACKLOG = 128
CHUNK = 64 << 10
_RESET = struct.pack("ii", 1, 0)
GetConnection = Callable[[], Connection]


@dataclass(frozen=True, eq=False)
class Forward:
    """A bound forward; ``port`` is the host port that it got.

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
        )


class Ports:
    """All forwards of a VM."""

    def __init__(self, owner: tasks.TaskOwner, get_connection: GetConnection) -> None:
        self._owner = owner
        self._get_connection = get_connection
        self._forwards: dict[Forward, asyncio.Task[None] | None] = {}
        self._free = asyncio.Semaphore(MAX_CONNECTIONS)
        self._serving = False

    def bind_all(self, wanted: Sequence[PortForward], earlier: Sequence[int]) -> None:
        """Bind a spec's forwards; ``earlier``: ``LaunchRequest.host_ports``. Raises as ``bind``."""
        pairs = zip(wanted, itertools.chain(earlier, itertools.repeat(0)), strict=False)
        # bind the forwards with a fixed port before those that take any port
        for forward, port in sorted(pairs, key=lambda pair: pair[0].host_port == 0):
            self.bind(forward, earlier=port)

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

    @steps.step
    def serve(self) -> None:
        """Accept connections from now on. Idempotent."""
        self._serving = True
        for forward, task in self._forwards.items():
            if task is None:
                self._forwards[forward] = self._start(forward)

    def describe(self) -> tuple[results.Port, ...]:
        """All forwards, in the order they were bound."""
        return tuple(forward.describe() for forward in self._forwards)

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
        ]
        if not found:
            raise errors.NotFound("no such forwarded port")
        for forward in found:
            await self._close(forward)
        return tuple(forward.describe() for forward in found)

    @steps.step
    async def close(self) -> None:
        """Close all listeners. Idempotent."""
        for forward in list(self._forwards):
            await self._close(forward)

    async def _close(self, forward: Forward) -> None:
        task = self._forwards.pop(forward)
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        forward.sock.close()

    def _start(self, forward: Forward) -> asyncio.Task[None]:
        name = f"port {forward.port}"
        return self._owner.start(self._accept(forward), name=name, finishable=True)

    async def _accept(self, forward: Forward) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._free.acquire()
            try:
                client, _ = await loop.sock_accept(forward.sock)
            except OSError:
                self._free.release()
                await asyncio.sleep(0.1)  # out of descriptors: give connections time to end
                continue
            except BaseException:
                self._free.release()
                raise
            name = f"port {forward.port} connection"
            self._owner.start(self._relay(client, forward.wanted), name=name, finishable=True)

    async def _relay(self, client: socket.socket, wanted: PortForward) -> None:
        try:
            client.setblocking(False)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            host = f"[{wanted.guest_ip}]" if ":" in wanted.guest_ip else wanted.guest_ip
            address = f"{host}:{wanted.guest_port}"
            inside = await ports.Tunnel.connect(self._get_connection(), address)
            async with inside, asyncio.TaskGroup() as group:
                group.create_task(_to_guest(client, inside))
                group.create_task(_to_client(client, inside))
        except (errors.GaoError, OSError, ExceptionGroup) as exc:
            logger.debug("port %s: %s", wanted.guest_port, exc)
            # Translate: a stream that broke inside becomes a reset outside.
            with contextlib.suppress(OSError):
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        finally:
            self._free.release()
            client.close()


async def _to_guest(client: socket.socket, inside: ports.Tunnel) -> None:
    loop = asyncio.get_running_loop()
    while data := await loop.sock_recv(client, CHUNK):
        if not await inside.write(data):
            return
    await inside.end()


async def _to_client(client: socket.socket, inside: ports.Tunnel) -> None:
    loop = asyncio.get_running_loop()
    while data := await inside.read():
        await loop.sock_sendall(client, data)
    client.shutdown(socket.SHUT_WR)


def _bind(wanted: PortForward, port: int) -> socket.socket:
    try:
        version = ipaddress.ip_address(wanted.host_ip).version
    except ValueError as exc:
        raise errors.InvalidParams(f"{wanted.host_ip} is no IP address") from exc
    family = socket.AF_INET6 if version == 6 else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((wanted.host_ip, port))
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except OSError as exc:
        sock.close()
        raise _bind_failed(exc, wanted, port) from exc
    return sock


def _bind_failed(exc: OSError, wanted: PortForward, port: int) -> errors.GaoError:
    where = f"{wanted.host_ip}:{port}"
    if exc.errno == errno.EADDRINUSE:
        owner = listeners.owner(port) or "another process"
        return errors.PortTaken(
            f"host port {where} is taken by {owner}",
            field=wanted.field,
            remedy="free it, choose another hostPort, or use hostPort: 0 for any free one",
            details={"host_port": port, "owner": owner},
        )
    if exc.errno in (errno.EACCES, errno.EPERM):
        return errors.PermissionMissing(
            f"no right to listen on {where}", field=wanted.field, remedy="use a port above 1023"
        )
    return errors.InvalidParams(f"cannot listen on {where}: {exc.strerror}", field=wanted.field)
