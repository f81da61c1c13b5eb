"""The daemon's client for programs with an event loop: calls, events, commands in guests.

A call takes a row of ``wire.control.table``; its parameters and result are that row's structs::

    report = await client.call(table.VM_STATUS, vms.Status(name="web-dev"))
    report.usage.memory_bytes
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast, overload

import msgspec

from gaovm import errors
from gaovm.aio import pubsub, tasks
from gaovm.client import blocking, events, paths, session
from gaovm.ipc import connection, methods
from gaovm.wire import anyjson, convert, streams
from gaovm.wire.control import events as wire_events
from gaovm.wire.control import sessions, table, target
from gaovm.wire.control.progress import Progress
from gaovm.wire.method import Method

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

    from gaovm.aio.pubsub import Subscription

P = TypeVar("P", bound=msgspec.Struct)
R = TypeVar("R")

# how many events may wait for their reader before it is cut off: a page comes all at once
MAX_UNREAD_EVENTS = 8192
# a command that prints more is ended; callers that want more read the stream themselves
MAX_OUTPUT_BYTES = 64 << 20


class Completed:
    """How a command in a guest ended: ``status`` is its exit status, or 128 + signal."""

    def __init__(self, status: int, stdout: bytes, stderr: bytes) -> None:
        self.status = status
        self.stdout = stdout
        self.stderr = stderr


class EventFeed:
    """Iterate over events in the order of their numbers; also a context manager.

    The feed gives each event once, as a ``wire.control.events.Event``. It ends with the
    connection. ``last`` is the number of the last event that the feed gave. To resume, call
    ``subscribe(since=last)``, on this or another connection.

    Raises (from the iteration):
        errors.TooSlow: this program reads more slowly than the daemon writes, and was cut off.
        errors.InvalidReply: the daemon sent something that is no event.
    """

    def __init__(self, subscription: Subscription[wire_events.Event], since: int | None) -> None:
        self._subscription = subscription
        self.last = since or 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the subscription in this process. Idempotent."""
        self._subscription.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> wire_events.Event:
        while True:
            event = await anext(self._subscription)
            if event.seq > self.last:  # another subscription may replay older events
                self.last = event.seq
                return event


class AsyncClient:
    """A connection to the daemon; an async context manager. Calls may overlap."""

    def __init__(self) -> None:
        self._events: pubsub.Topic[wire_events.Event] = pubsub.Topic()
        self._connection: connection.Connection | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Disconnect. Idempotent."""
        if self._connection is not None:
            await self._connection.aclose()

    async def open(self, sock: socket.socket) -> None:
        """Say hello over a connected socket; called by ``connect``."""
        service = connection.Service(
            blocking.terms(), _serve, on_notification=self._on_notification
        )
        self._connection = await connection.connect(sock, service, first=True, name="client")
        self._connection.on_close(self._events.close)

    @overload
    async def call(
        self,
        method: Method[target.Nothing, R],
        params: None = None,
        timeout_s: float | None = None,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> R: ...

    @overload
    async def call(
        self,
        method: Method[P, R],
        params: P,
        timeout_s: float | None = None,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> R: ...

    @overload
    async def call(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        timeout_s: float | None = None,
        on_progress: Callable[[Mapping[str, Any]], None] | None = None,
    ) -> Any: ...

    async def call(
        self,
        method: str | Method[Any, Any],
        params: Mapping[str, Any] | msgspec.Struct | None = None,
        timeout_s: float | None = None,
        on_progress: Callable[[Any], None] | None = None,
    ) -> Any:
        """Call a method of ``gaovm.control.v1``. Cancelling this task withdraws the call.

        ``method`` is a row of ``wire.control.table`` or a method's name. With a row, parameters,
        result and progress are structs; with a name, they are JSON data.

        Raises:
            errors.InvalidReply: the result does not fit the row.
            errors.ConnectionLost, errors.TimeLimit, errors.GaoError: see ``Connection.call``.
        """
        if self._connection is None:
            raise errors.ConnectionLost("the client is not connected")
        if isinstance(method, str):
            plain = cast("Mapping[str, Any] | None", params)
            return await self._connection.call(method, plain or {}, timeout_s, on_progress)
        given = {} if params is None else convert.arguments(cast("msgspec.Struct", params))
        listener = None if on_progress is None else _typed(on_progress)
        answer = await self._connection.call(method.name, given, timeout_s, listener)
        return convert.reply(method.name, answer, method.result)

    async def subscribe(self, since: int | None = None) -> EventFeed:
        """Subscribe to the events after number ``since``, or from now on.

        Raises:
            errors.InvalidParams: ``since`` is above the newest number, ``details['seq']``.
        """
        feed = EventFeed(self._events.subscribe(limit=MAX_UNREAD_EVENTS), since)
        try:
            await self.call(table.EVENTS_SUBSCRIBE, wire_events.Subscribe(since=since))
        except BaseException:
            feed.close()
            raise
        return feed

    def _on_notification(
        self, method: str, params: anyjson.Object, source: connection.Connection
    ) -> None:
        if method == methods.EVENT:
            try:
                event = convert.reply(method, params, wire_events.Event)
            except errors.InvalidReply as exc:
                self._events.end_all(exc)
            else:
                self._events.publish(event)
        elif method == methods.EVENT_LAGGED:
            self._events.end_all(events.lagged(params))

    async def run(
        self,
        name: str,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        options: Mapping[str, Any] | None = None,
    ) -> Completed:
        """Run a command in a guest.

        ``options`` are further fields of the START frame (``user``, ``cwd``, ``env``, …).
        Cancelling this task ends the command.

        Raises:
            errors.GuestCallFailed: the guest could not start the command, or the command printed
                more than 64 MiB; see ``details['agent_code']``.
            errors.ConnectionLost: the VM went away.
            errors.GaoError: the error that the daemon answered.
        """
        ticket = await self.call(table.VM_SESSION, sessions.Open(name=name, kind="exec"))
        sock = await _open_stream(msgspec.structs.asdict(ticket), "exec")
        return await run_stream(sock, {"cwd_home_ok": True, **(options or {}), "argv": argv}, stdin)


async def _open_stream(ticket: Mapping[str, Any], stream: str) -> socket.socket:
    """Open a stream in a thread; close it if the caller is cancelled meanwhile."""
    opened: list[socket.socket] = []
    given_up = False
    lock = threading.Lock()

    def open_it() -> socket.socket:
        sock = session.open_stream(ticket, stream)
        with lock:
            opened.append(sock)
            if given_up:
                sock.close()
        return sock

    try:
        return await asyncio.to_thread(open_it)
    except asyncio.CancelledError:
        with lock:
            given_up = True
            for sock in opened:
                sock.close()
        raise


def _typed(listener: Callable[[Progress], None]) -> Callable[[Mapping[str, Any]], None]:
    """Return a listener that decodes JSON data and passes the struct to ``listener``."""

    def told(data: Mapping[str, Any]) -> None:
        listener(convert.reply(methods.PROGRESS, data, Progress))

    return told


async def _serve(method: str, params: anyjson.Object, context: connection.Request) -> Any:
    if method == methods.PING:
        return {"ok": True}
    raise errors.UnknownMethod(f"Unknown method: {method}")


async def run_stream(sock: socket.socket, start: Mapping[str, Any], stdin: bytes) -> Completed:
    """Run one command over an open stream, and close it; gather up to 64 MiB of output."""
    # not asyncio's streams: when a write fails, they drop received data, such as the reason
    with sock:
        sock.setblocking(False)
        first = streams.encode_json(streams.START, start)
        feeder = tasks.spawn(_feed(sock, first, stdin), name="exec input")
        try:
            return await _gather(sock)
        finally:
            await tasks.cancel_and_wait(feeder)


async def _feed(sock: socket.socket, first: bytes, stdin: bytes) -> None:
    loop = asyncio.get_running_loop()
    try:
        await loop.sock_sendall(sock, first)
        for offset in range(0, len(stdin), streams.CHUNK_BYTES):
            part = stdin[offset : offset + streams.CHUNK_BYTES]
            await loop.sock_sendall(sock, streams.encode(streams.DATA, part))
        await loop.sock_sendall(sock, streams.encode(streams.EOF))
    except OSError:
        return  # the reader raises the reason


async def _gather(sock: socket.socket) -> Completed:
    loop = asyncio.get_running_loop()
    decoder = streams.Decoder()
    outputs = {streams.OUTPUT: bytearray(), streams.STDERR: bytearray()}
    while True:
        try:
            data = await loop.sock_recv(sock, streams.CHUNK_BYTES)
        except OSError:
            data = b""
        if not data:
            raise errors.ConnectionLost("the VM went away before the command ended")
        for kind, payload in decoder.feed(data):
            if kind in outputs:
                outputs[kind] += payload
            elif kind == streams.EXIT:
                out, err = outputs.values()
                return Completed(streams.exit_status(payload), bytes(out), bytes(err))
            elif kind == streams.ERROR:
                raise streams.error(payload)
        if sum(map(len, outputs.values())) > MAX_OUTPUT_BYTES:
            raise errors.GuestCallFailed(
                f"the command printed over {MAX_OUTPUT_BYTES} bytes",
                details={"agent_code": "output-limit"},
            )


async def connect(home: str | os.PathLike[str] | None = None, start: bool = True) -> AsyncClient:
    """Connect to the daemon of ``home`` (default: ``$GAOVM_HOME``), and start it if needed.

    Raises:
        errors.DaemonUnreachable: as ``blocking.connect``.
    """
    directory = paths.home() if home is None else os.fspath(home)
    # the blocking client starts the daemon; then this client connects its own socket
    first = await asyncio.to_thread(blocking.connect, directory, start)
    first.close()
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        await asyncio.to_thread(sock.connect, paths.socket(directory))
    except OSError as exc:
        sock.close()
        raise errors.DaemonUnreachable(f"the daemon has just ended: {exc.strerror}") from exc
    client = AsyncClient()
    await client.open(sock)
    return client
