"""A listening socket whose clients choose their protocol in hello."""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import TYPE_CHECKING, Any, cast

from gaovm import errors
from gaovm.aio import descriptors, sockets
from gaovm.ipc import connection, handover, handshake, inflow, peer

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

logger = logging.getLogger(__name__)

MAX_CONNECTIONS = 1024
#: How many connections one turn accepts before it handles the first; each costs a descriptor.
_AT_ONCE = 4
#: How many refused clients may wait for the reason at once; the server just closes further ones.
_HEARD = 4
_REFUSAL_S = 1.0
#: The server logs a flood of refusals once a second.
_LOG_S = 1.0


class Server:
    """Accept connections until ``aclose``; ``connections`` has the present ones."""

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
        self._hearing = 0
        self._refused = 0
        self._logged_at = -_LOG_S

    async def start(self, sock: socket.socket) -> None:
        """Start accepting on a bound, listening socket, which the server owns from now on."""
        loop = asyncio.get_running_loop()
        options: dict[str, Any] = {}
        if sys.version_info >= (3, 13):
            # The code that bound the file owns it; the file outlives `pause`.
            options["cleanup_socket"] = False
        options["backlog"] = _AT_ONCE
        self._server = await loop.create_unix_server(self._make, sock=sock, **options)
        sock.listen(sockets.BACKLOG)  # asyncio's `backlog` above limits accepts per turn
        self._listener = sock

    def fileno(self) -> int:
        """Return the descriptor of the listening socket."""
        return -1 if self._listener is None else self._listener.fileno()

    def pause(self) -> None:
        """Stop accepting for a while: new clients wait until ``go_on``."""
        asyncio.get_running_loop().remove_reader(self.fileno())

    async def go_on(self) -> None:
        """Accept again, after ``pause``."""
        if self._listener is not None:
            again = self._listener.dup()
            self.stop_accepting()
            await self.start(again)

    @property
    def accepted(self) -> int:
        """The number of connections accepted so far."""
        return self._count

    def _make(self) -> asyncio.Protocol:
        if len(self.connections) >= MAX_CONNECTIONS:
            return self._refuse(f"{MAX_CONNECTIONS} clients are connected")
        if descriptors.scarce():
            return self._refuse(
                f"few of the {descriptors.limit()} descriptors that the daemon may open are left"
            )
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

    def _refuse(self, why: str) -> asyncio.Protocol:
        self._refused += 1
        now = asyncio.get_running_loop().time()
        if now - self._logged_at >= _LOG_S:
            logger.warning("%s: refused %d connections: %s", self.name, self._refused, why)
            self._logged_at, self._refused = now, 0
        if self._hearing >= _HEARD:
            return _Refusal(b"", lambda: None)
        self._hearing += 1
        speaker = peer.Peer([self._services[0].terms], first=False)
        remedy = "end some of them, or raise the limit: `ulimit -n`, LimitNOFILE= of the unit"
        speaker.error(
            1, errors.DescriptorsScarce(f"the daemon accepts no more clients: {why}", remedy=remedy)
        )
        return _Refusal(b"".join(speaker.take_output()), self._heard)

    def _heard(self) -> None:
        self._hearing -= 1

    def _keep(self, made: handover.Movable) -> None:
        self.connections.add(made)
        made.finished.add_done_callback(lambda _: self.connections.discard(made))

    async def resume(self, sock: socket.socket, snapshot: handover.Snapshot) -> handover.Movable:
        """Resume a connection that another process accepted, and own its socket.

        Raises:
            errors.HandshakeError: the server no longer serves its protocol; the socket is closed.
        """
        made = await handover.resume(
            sock, self._services, snapshot, first=False, budget=self.budget
        )
        self._keep(made)
        return made

    def stop_accepting(self) -> None:
        """Close the listening socket; connections stay open. Idempotent."""
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
    """Answer the hello, whose id is 1, with an error, and close."""

    def __init__(self, answer: bytes, ended: Callable[[], None]) -> None:
        self._answer = answer
        self._ended = ended
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if not self._answer:
            transport.close()
            return
        asyncio.get_running_loop().call_later(_REFUSAL_S, transport.close)

    def data_received(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(self._answer)
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended()


async def serve_unix(
    sock: socket.socket,
    services: Sequence[connection.Service],
    *,
    name: str = "server",
    handshake_s: float = handshake.LIMIT_S,
) -> Server:
    """Serve ``services`` on a listening socket; a client's hello selects one by its protocol."""
    server = Server(services, name=name, handshake_s=handshake_s)
    await server.start(sock)
    return server
