"""Hand a connection over to another process: take a snapshot of it, and resume from the snapshot.

No data is lost or sent twice. The snapshot has the received bytes that do not form a whole frame
yet, the bytes that did not fit into the socket yet, and the incoming calls that have not begun.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, cast

import msgspec

from gaovm.ipc import connection, handshake, inflow, jsonrpc, methods
from gaovm.wire import anyjson

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from gaovm.ipc import peer


class PeerState(msgspec.Struct, frozen=True, kw_only=True):
    """The result of ``peer.Peer.export``."""

    protocol: str | None
    last_id: int
    own_hello: int | str | None
    answered: bool
    accepted: bool
    ready: bool
    callable: tuple[str, ...]
    served: tuple[str, ...]
    unread: bytes


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """An incoming call that has not begun: it begins in the process that resumes."""

    id: int | str
    method: str
    params: anyjson.Object


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """One connection, without its socket."""

    name: str
    peer: PeerState
    unsent: bytes
    calls: tuple[Call, ...]


class Unsent:
    """The last bytes written to a transport, as long as the transport still holds them."""

    __slots__ = ("_chunks", "_size")

    def __init__(self) -> None:
        self._chunks: deque[bytes] = deque()
        self._size = 0

    def wrote(self, data: bytes, left: int) -> None:
        """Note that the transport got ``data`` and now holds ``left`` bytes in all."""
        if not left:
            if self._size:
                self._chunks.clear()
                self._size = 0
            return
        self._chunks.append(data)
        self._size += len(data)
        while self._size - len(self._chunks[0]) >= left:
            self._size -= len(self._chunks.popleft())

    def last(self, left: int) -> bytes:
        """Return the last ``left`` bytes that were written."""
        return b"".join(self._chunks)[-left:] if left else b""


class Movable(connection.Connection):
    """A connection that this process can hand over to another."""

    def __init__(
        self,
        services: Sequence[connection.Service],
        *,
        first: bool,
        name: str,
        handshake_s: float,
        budget: inflow.Budget | None = None,
    ) -> None:
        super().__init__(services, first=first, name=name, handshake_s=handshake_s, budget=budget)
        self._unsent = Unsent()
        self._resumed: Snapshot | None = None

    def begun(self) -> dict[int | str, asyncio.Task[None]]:
        """The incoming calls under way, by id, without those that wait before the gate."""
        answers = self._answers
        return {key: task for key, task in answers.calls.items() if key not in answers.waiting}

    @property
    def ready(self) -> bool:
        """Whether both hellos are done."""
        return self._peer.ready

    def fileno(self) -> int:
        """Return the socket's descriptor, or -1 when the socket is closed."""
        sock = None if self._transport is None else self._transport.get_extra_info("socket")
        return -1 if sock is None else int(sock.fileno())

    def ping(self) -> None:
        """Ping and drop the answer: this restarts the other side's time limit."""
        self._peer.forget(self._peer.request(methods.PING, {}, None))

    def snapshot(self) -> Snapshot:
        """Return a snapshot of this moment; if it is used, this object must not continue.

        The snapshot has no calls under way, neither incoming nor outgoing. The resumed connection
        drops an answer to one of our calls.
        """
        self._flush()
        left = 0 if self._transport is None else self._transport.get_write_buffer_size()
        waiting = self._answers.waiting.values()
        return Snapshot(
            name=self.name,
            peer=PeerState(**self._peer.export()),
            unsent=self._unsent.last(left),
            calls=tuple(Call(id=r.id, method=r.method, params=r.params) for r in waiting),
        )

    def resume(self, snapshot: Snapshot) -> None:
        """Resume from a snapshot. Call this before the connection gets its transport.

        Raises:
            errors.HandshakeError: this side does not serve the snapshot's protocol.
        """
        self._peer.resume(cast("peer.Exported", msgspec.structs.asdict(snapshot.peer)))
        self._resumed = snapshot

    def answer(self, request_id: int | str, value: Any) -> None:
        """Answer a call that began while another process had this connection."""
        self._peer.result(request_id, value)
        self._schedule_flush()

    def _greet(self) -> None:
        snapshot, self._resumed = self._resumed, None
        if snapshot is None:
            super()._greet()
        else:
            self._go_on(snapshot)

    def _go_on(self, snapshot: Snapshot) -> None:
        self._write(snapshot.unsent)
        if self._peer.ready:
            self._on_ready()
        for call in snapshot.calls:
            self._take(jsonrpc.Request(call.id, call.method, call.params), 0)
        self.data_received(b"")

    def resume_writing(self) -> None:
        self._unsent.wrote(b"", 0)  # the low-water mark is zero: everything has been sent
        super().resume_writing()

    def _write(self, data: bytes) -> None:
        super()._write(data)
        if self._transport is not None:
            self._unsent.wrote(data, self._transport.get_write_buffer_size())


async def resume(
    sock: socket.socket,
    services: Sequence[connection.Service],
    snapshot: Snapshot,
    *,
    first: bool,
    budget: inflow.Budget | None = None,
) -> Movable:
    """Resume a connection over its old socket, and own the socket from now on.

    Raises:
        errors.HandshakeError: this side does not serve its protocol; the socket is closed.
    """
    sock.setblocking(False)
    made = Movable(
        services,
        first=first,
        name=snapshot.name,
        handshake_s=handshake.LIMIT_S,
        budget=budget,
    )
    try:
        made.resume(snapshot)
    except BaseException:
        sock.close()
        raise
    await asyncio.get_running_loop().connect_accepted_socket(lambda: made, sock)
    return made
