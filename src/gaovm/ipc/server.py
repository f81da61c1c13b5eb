"""A listening socket whose clients choose their protocol in hello."""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import TYPE_CHECKING, Any

from gaovm import errors
from gaovm.ipc import connection, handover, inflow

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

logger = logging.getLogger(__name__)

MAX_CONNECTIONS = 1024


class Server:
    """Accepts connections until ``aclose``; ``connections`` are those of now."""

    def __init__(
        self, services: Sequence[connection.Service], *, name: str, handshake_s: float
    ) -> None:
        self.name = name
        self.connections: set[handover.Movable] = set()
        self._services = tuple(services)
        self._handshake_s = handshake_s
        self.budget = inflow.Budget()
        self._server: asyncio.AbstractServer | None = None
        self._listener: socket.socket | None = None
        self._count = 0

    async def start(self, sock: socket.socket) -> None:
        """Accept on a bound, listening socket, which the server owns from now on."""
        loop = asyncio.get_running_loop()
        options: dict[str, Any] = {}
        if sys.version_info >= (3, 13):
            options["cleanup_socket"] = False  # the file is its binder's, and outlives `pause`
        self._server = await loop.create_unix_server(self._make, sock=sock, **options)
        self._listener = sock

    def fileno(self) -> int:
        """The descriptor of the listening socket."""
        return -1 if self._listener is None else self._listener.fileno()

    def pause(self) -> None:
        """Accept nobody: clients that connect wait, until ``go_on``."""
        asyncio.get_running_loop().remove_reader(self.fileno())

    async def go_on(self) -> None:
        """Accept again, after ``pause``."""
        if self._listener is not None:
            again = self._listener.dup()
            self.stop_accepting()
            await self.start(again)

    def _make(self) -> asyncio.Protocol:
        if len(self.connections) >= MAX_CONNECTIONS:
            logger.warning("%s: refused a connection, %d are open", self.name, MAX_CONNECTIONS)
            return _Refusal()
        self._count += 1
        made = handover.Movable(
            self._services,
            first=False,
            name=f"{self.name} client {self._count}",
            handshake_s=self._handshake_s,
            budget=self.budget,
        )
        self._keep(made)
        return made

    def _keep(self, made: handover.Movable) -> None:
        self.connections.add(made)
        made.finished.add_done_callback(lambda _: self.connections.discard(made))

    async def resume(self, sock: socket.socket, snapshot: handover.Snapshot) -> handover.Movable:
        """Go on with a connection that another process accepted; owns the socket.

        Raises:
            errors.HandshakeError: its protocol is not served any more; the socket is closed.
        """
        made = await handover.resume(
            sock, self._services, snapshot, first=False, budget=self.budget
        )
        self._keep(made)
        return made

    def stop_accepting(self) -> None:
        """Close the listening socket; connections stay. Idempotent."""
        if self._server is not None:
            self._server.close()

    async def aclose(self) -> None:
        """Stop accepting, end every connection and wait for their tasks. Idempotent."""
        self.stop_accepting()
        open_ones = list(self.connections)
        for each in open_ones:
            each.close(errors.ConnectionLost("the server ends"))
        for each in open_ones:
            await each.wait_closed()


class _Refusal(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


async def serve_unix(
    sock: socket.socket,
    services: Sequence[connection.Service],
    *,
    name: str = "server",
    handshake_s: float = connection.HANDSHAKE_LIMIT_S,
) -> Server:
    """Serve ``services`` on a listening socket; a client's hello picks one by its protocol."""
    server = Server(services, name=name, handshake_s=handshake_s)
    await server.start(sock)
    return server
