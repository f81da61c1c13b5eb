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
#: Accepted before the first of them is looked at: each takes a descriptor, wanted or not.
_AT_ONCE = 4
#: Refused ones that are waited for at once, so that they hear why; more are just closed.
_HEARD = 4
_REFUSAL_S = 1.0
#: A flood is logged once a second.
_LOG_S = 1.0


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
        self._hearing = 0
        self._refused = 0
        self._logged_at = -_LOG_S

    async def start(self, sock: socket.socket) -> None:
        """Accept on a bound, listening socket, which the server owns from now on."""
        loop = asyncio.get_running_loop()
        options: dict[str, Any] = {}
        if sys.version_info >= (3, 13):
            options["cleanup_socket"] = False  # the file is its binder's, and outlives `pause`
        options["backlog"] = _AT_ONCE
        self._server = await loop.create_unix_server(self._make, sock=sock, **options)
        sock.listen(sockets.BACKLOG)  # how many wait for their turn is another matter
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

    @property
    def accepted(self) -> int:
        """How many connections there ever were."""
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
            1, errors.DescriptorsScarce(f"the daemon takes no client: {why}", remedy=remedy)
        )
        return _Refusal(b"".join(speaker.take_output()), self._heard)

    def _heard(self) -> None:
        self._hearing -= 1

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
    """Answers the hello, whose id is 1, with an error, and closes."""

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
    """Serve ``services`` on a listening socket; a client's hello picks one by its protocol."""
    server = Server(services, name=name, handshake_s=handshake_s)
    await server.start(sock)
    return server
