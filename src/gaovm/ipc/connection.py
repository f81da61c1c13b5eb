"""JSON-RPC connections on asyncio: the shell around ``peer``.

``transport`` sends bytes and limits how many may wait. ``handshake`` limits the time of the hellos.
``calling`` has the outgoing calls, ``answering`` the incoming ones. A connection owns the tasks of
its incoming calls and cancels them when the other side leaves. Every outgoing call ends, with
``ConnectionLost`` at the latest.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, cast

import msgspec

from gaovm import errors
from gaovm.aio import tasks
from gaovm.ipc import (
    answering,
    calling,
    frames,
    handshake,
    heartbeat,
    inflow,
    jsonrpc,
    methods,
    peer,
    transport,
)

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence

    from gaovm.wire import anyjson

    Handler = Callable[[str, anyjson.Object, "Request"], Awaitable[Any]]

logger = logging.getLogger(__name__)

_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder()


def _loads(body: bytes) -> Any:
    try:
        return _DECODER.decode(body)
    except (ValueError, RecursionError) as exc:
        raise errors.FrameError(f"Frame is not valid JSON: {exc}") from exc


def _loads_of_stranger(body: bytes) -> Any:
    frames.check_values(body)
    return _loads(body)


class Service:
    """What this side serves under one protocol; many connections may share it.

    ``handle(method, params, context)`` returns JSON data (or msgspec structs) or raises a
    ``GaoError``. ``immediate`` has the methods that are answered without a task, for cheap reads.
    ``on_notification`` gets method, params and connection. The connection calls ``on_open`` after
    both hellos. Each call with a task awaits ``gate`` first; a call that waits there has not begun.
    """

    def __init__(
        self,
        terms: peer.Terms,
        handle: Handler,
        *,
        immediate: Mapping[str, Callable[[anyjson.Object, Request], Any]] | None = None,
        on_notification: Callable[[str, anyjson.Object, Connection], None] | None = None,
        on_open: Callable[[Connection], None] | None = None,
        gate: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        self.terms = terms
        self.handle = handle
        self.immediate = immediate or {}
        self.on_notification = on_notification
        self.on_open = on_open
        self.gate = gate


class Request:
    """One incoming call."""

    __slots__ = ("connection", "request_id")

    def __init__(self, connection: Connection, request_id: int | str) -> None:
        self.connection = connection
        self.request_id = request_id

    def progress(self, fields: Mapping[str, Any]) -> None:
        """Send a ``progress`` notification for this call, unless the caller has gone."""
        self.connection.notify(methods.PROGRESS, {"call": self.request_id, **fields})

    def cancel(self, request_id: int | str, wish: str | None = None) -> bool:
        """Cancel another call of the same connection; return False when it is not under way."""
        return self.connection.cancel_call(request_id, wish)


class Connection(transport.Transport):
    """One connection; ``connect`` or a ``Server`` makes it."""

    def __init__(
        self,
        services: Sequence[Service],
        *,
        first: bool,
        name: str,
        handshake_s: float,
        budget: inflow.Budget | None = None,
    ) -> None:
        super().__init__()
        self.name = name
        self.error: errors.GaoError | None = None
        self._services = tuple(services)
        self._peer = peer.Peer(
            [service.terms for service in services],
            first=first,
            loads=_loads if first else _loads_of_stranger,
            dumps=_ENCODER.encode,
        )
        self._first = first
        self._service: Service | None = None
        self._owner = tasks.TaskOwner(name)
        self._answers: answering.Answers[Request]
        self._answers = answering.Answers(name, self._peer, self._owner, self._on_answered)
        self._frames = inflow.Frames(self._on_late_frame)
        self._budget = budget
        self._held_bytes = 0
        self._calls = calling.Calls(self._peer, self._schedule_flush)
        self._handshake = handshake.Handshake(handshake_s)
        self._close_callbacks: list[Callable[[], None]] = []
        self.finished: asyncio.Future[None] = self._loop.create_future()
        self._finisher: asyncio.Task[None] | None = None
        self._heartbeat: heartbeat.Heartbeat | None = None

    # for users of the connection

    @property
    def protocol(self) -> str:
        """The protocol on which both sides agreed."""
        return self._peer.terms.offer.protocol

    @property
    def callable(self) -> frozenset[str]:
        """The methods that the other side lets us call."""
        return self._peer.callable

    async def call(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        timeout_s: float | None = None,
        on_progress: Callable[[anyjson.Object], None] | None = None,
    ) -> Any:
        """Call a method of the other side. ``on_progress`` gets the call's notifications.

        Raises:
            errors.ConnectionLost: the connection ended; whether the call had an effect is unknown.
            errors.TimeLimit: no answer in ``timeout_s``; the call may still have its effect.
            errors.CapabilityError: the other side does not accept the method; nothing was sent.
            errors.GaoError: the error that the other side answered.
        """
        return await self._calls.call(method, params, timeout_s, on_progress)

    def notify(self, method: str, params: Mapping[str, Any]) -> None:
        """Send a notification; do nothing once the connection has ended.

        This never waits: the connection cuts off a peer that has left 32 MiB unread.
        """
        if self.error is None and self._peer.ready:
            self._peer.notify(method, params)
            self._schedule_flush()

    def send_encoded(self, data: bytes) -> None:
        """Send frames made by ``transport.encode``; do nothing once the connection has ended.

        This serves callers that send the same data to many connections. They check ``congested``
        first.
        """
        if self.error is None and self._peer.ready and self._transport is not None:
            self._flush()
            self._write(data)

    def start(self, work: Coroutine[Any, Any, None], *, name: str) -> asyncio.Task[None]:
        """Start a task, which the connection cancels when it ends."""
        return self._owner.start(work, name=name, finishable=True)

    def on_close(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` when the connection has ended, or at once if it already has."""
        if self.error is not None:
            callback()
        else:
            self._close_callbacks.append(callback)

    def cancel_call(self, request_id: int | str, wish: str | None = None) -> bool:
        """Cancel an incoming call, which cleans up and then answers ``cancelled``."""
        return self._answers.cancel(request_id, wish)

    def set_heartbeat(self, interval_s: float, limit_s: float) -> None:
        """Ping every ``interval_s``; end the connection when an answer takes over ``limit_s``."""
        self._heartbeat = heartbeat.Heartbeat(interval_s, limit_s, self._ping, self._cut_off)
        self._calls.on_beat = self._heartbeat.answered
        if self._peer.ready:
            self._heartbeat.start()

    def _ping(self) -> None:
        self._calls.beat()
        self._flush()

    async def wait_ready(self) -> None:
        """Wait until both hellos are done.

        Raises:
            errors.GaoError: a hello failed for this reason; the connection is closed.
        """
        await self._handshake.wait()

    async def wait_closed(self) -> None:
        """Wait until the connection and its tasks have ended; ``error`` then holds the reason."""
        await asyncio.shield(self.finished)

    def close(self, error: errors.GaoError | None = None) -> None:
        """Begin to end the connection; it still sends what is queued. Idempotent."""
        self._end(error or errors.ConnectionLost("closed by this side"))

    async def aclose(self) -> None:
        """End the connection and wait until it and its tasks have ended."""
        self.close()
        await self.wait_closed()

    # the event loop calls these

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._handshake.begin(self._end)
        self._greet()

    def _greet(self) -> None:
        if self._first:
            self._peer.begin()
            self._flush()

    def data_received(self, data: bytes) -> None:
        self._peer.feed(data)
        before = self._peer.frames
        while (event := self._peer.next_event()) is not None:
            kind = type(event)
            if kind is jsonrpc.Request:
                self._take(cast("jsonrpc.Request", event), self._peer.frame_bytes)
            elif kind is peer.Reply:
                self._calls.answered(cast("peer.Reply", event))
            elif kind is jsonrpc.Notification:
                self._on_notification(cast("jsonrpc.Notification", event))
            elif kind is peer.Ready:
                self._on_ready()
            else:
                self._end(cast("peer.Failed", event).error)
            if self._peer.output_bytes > transport.BATCH_BYTES:
                self._flush()
            if self.error is not None:
                return
        self._flush()
        self._frames.saw(whole=self._peer.frames - before, partial=self._peer.pending_bytes > 0)
        self._hold()

    def eof_received(self) -> None:
        self._end(self._peer.eof().error)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        reason = f"the connection broke: {exc}" if exc else "the other side closed the connection"
        self._set_error(errors.ConnectionLost(reason))
        self._finisher = tasks.spawn(self._finish(), name=f"{self.name}: end")

    async def _finish(self) -> None:
        await self._owner.aclose()
        if not self.finished.done():
            self.finished.set_result(None)

    # the end

    def _end(self, error: errors.GaoError) -> None:
        """Send what is queued, then close; log the reason once."""
        if self.error is None and self._transport is not None:
            self._flush()
        self._set_error(error)
        self._hang_up()

    def _set_error(self, error: errors.GaoError) -> None:
        if self.error is not None:
            return
        if self._heartbeat is not None:
            self._heartbeat.stop()
        self.error = error
        level = logging.DEBUG if isinstance(error, errors.ConnectionLost) else logging.WARNING
        logger.log(level, "%s: connection ends: %s", self.name, error)
        self._handshake.end(error)
        self._calls.end(error)
        self._peer.discard()
        self._frames.stop()
        self._answers.end()
        self._hold()
        callbacks, self._close_callbacks = self._close_callbacks, []
        for callback in callbacks:
            callback()

    # received data that is not handled yet

    def _take(self, request: jsonrpc.Request, size: int) -> None:
        if self._service is not None:
            self._answers.take(self._service, request, size, Request(self, request.id))

    def _on_answered(self) -> None:
        self._schedule_flush()
        self._hold()

    def _hold(self) -> None:
        """Tell the budget how much is held; after the end, only unfinished calls count."""
        partial = 0 if self.error is not None else self._peer.pending_bytes
        size = partial + self._answers.held_bytes
        if size != self._held_bytes and self._budget is not None:
            self._held_bytes = size
            self._budget.hold(self, size)

    def overrun(self) -> None:
        """End the connection; implements ``inflow.Holder``."""
        self._held_bytes = 0
        why = "the server has too many unfinished requests, and this client has the most"
        self._cut_off(errors.TooSlow(why))

    def _on_late_frame(self) -> None:
        why = f"a frame was not whole within {inflow.FRAME_LIMIT_S:g} s"
        self._cut_off(errors.TooSlow(why))

    def _cut_off(self, error: errors.GaoError) -> None:
        """End at once and drop what is queued."""
        self._set_error(error)
        self._abort()

    # output

    def _take_output(self) -> list[bytes]:
        return self._peer.take_output()

    def _on_unread(self) -> None:
        self._cut_off(errors.TooSlow("the other side does not read what is sent"))

    # events

    def _on_ready(self) -> None:
        terms = self._peer.terms
        self._service = next(each for each in self._services if each.terms is terms)
        self._handshake.done()
        if self._heartbeat is not None:
            self._heartbeat.start()
        if self._service.on_open is not None:
            self._service.on_open(self)

    def _on_notification(self, message: jsonrpc.Notification) -> None:
        if self._calls.progressed(message):
            return
        service = self._service
        if service is not None and service.on_notification is not None:
            service.on_notification(message.method, message.params, self)


async def connect(
    sock: socket.socket,
    service: Service,
    *,
    first: bool,
    name: str = "connection",
    handshake_s: float = handshake.LIMIT_S,
) -> Connection:
    """Make a connection over a connected socket and wait for both hellos; see ``attach``."""
    connection = Connection([service], first=first, name=name, handshake_s=handshake_s)
    await attach(connection, sock)
    return connection


async def attach(connection: Connection, sock: socket.socket) -> None:
    """Give a new connection its connected socket, which it then owns; wait for both hellos.

    Raises:
        errors.HandshakeError, errors.AuthError, errors.CapabilityError: the hellos do not agree.
        errors.ConnectionLost: the other side went away.
        errors.FrameError: the other side does not speak this protocol.
    """
    sock.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.connect_accepted_socket(lambda: connection, sock)
    try:
        await connection.wait_ready()
    except BaseException:
        await tasks.finish(connection.aclose())
        raise
