"""HTTP/2 client on the agent's byte stream: plain calls and full-duplex streams.

It wraps ``h2`` for asyncio. It refills the connection's window at once, so that this window is
never the limit. Each stream has a window of 64 KiB; the first few busy ones get 1 MiB (``stream``).
The guest can fill at most the sum of the windows in our memory. The connection does no I/O itself:
``channel`` feeds it and gives it a ``write``.

Guarantee: when the connection is lost, every pending call and stream ends with the same error.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
import hyperframe.frame

from gaovm import errors
from gaovm.guestmanager.transport.pacing import MAX_FRAME, FrameGuard
from gaovm.guestmanager.transport.stream import NARROW, WIDE, Stream, again

SEND_CHUNK = 256 << 10
MAX_STREAMS = 256
MAX_WIDE = 8
CONNECTION_WINDOW = 2 * (MAX_STREAMS * NARROW + MAX_WIDE * WIDE)
MAX_BODY = 1 << 20
CALL_LIMIT_S = 10.0
_AUTHORITY = [(":scheme", "http"), (":authority", "agent")]
# h2 formats every received frame in hexadecimal for a trace that is off, which takes half of the
# time of a bulk transfer.
hyperframe.frame.Frame.__repr__ = object.__repr__  # type: ignore[method-assign]


def _h2() -> h2.connection.H2Connection:
    config = h2.config.H2Configuration(client_side=True, header_encoding="utf-8")
    machine = h2.connection.H2Connection(config)
    codes = h2.settings.SettingCodes
    machine.local_settings = h2.settings.Settings(
        client=True,
        initial_values={
            codes.ENABLE_PUSH: 0,
            codes.INITIAL_WINDOW_SIZE: NARROW,
            codes.MAX_FRAME_SIZE: MAX_FRAME,
            codes.MAX_HEADER_LIST_SIZE: 16 << 10,
        },
    )
    machine.max_inbound_frame_size = MAX_FRAME
    return machine


class Connection:
    """One HTTP/2 connection; ``lost`` ends it."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._h2 = _h2()
        self._guard = FrameGuard()
        self._streams: dict[int, Stream] = {}
        self._owed = 0
        self._wide = 0
        self._paused = False
        self._error: errors.GaoError | None = None
        self._pong: asyncio.Future[None] | None = None

    def start(self) -> None:
        """Send the preface and the settings."""
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(CONNECTION_WINDOW)
        self._flush()

    # calls

    async def call(
        self, method: str, path: str, body: bytes = b"", *, limit_s: float = CALL_LIMIT_S
    ) -> tuple[int, bytes]:
        """Make one plain call and return the status and body of its answer.

        Raises:
            errors.GuestUnavailable: the agent did not answer within ``limit_s`` seconds, or the
                connection was lost.
            errors.GuestProtocolError: the answer is longer than 1 MiB.
        """
        stream = self.open(method, path, end=not body)
        received = bytearray()
        async with stream:
            try:
                async with asyncio.timeout(limit_s):
                    if body:
                        await stream.write(body, end=True)
                    while chunk := await stream.read():
                        received += chunk
                        if len(received) > MAX_BODY:
                            raise errors.GuestProtocolError(f"{path}: more than {MAX_BODY} bytes")
            except TimeoutError as exc:
                raise errors.GuestUnavailable(
                    f"the agent did not answer {method} {path} within {limit_s:g} s"
                ) from exc
        return stream.status or 0, bytes(received)

    def open(self, method: str, path: str, *, end: bool = False) -> Stream:
        """Begin a request. The caller writes its body to the stream and reads the answer from it.

        Raises:
            errors.GuestUnavailable: the connection is lost, or has too many streams.
        """
        if self._error is not None:
            raise again(self._error)
        if len(self._streams) >= MAX_STREAMS:  # the agent states a limit too, but is not trusted
            raise errors.GuestUnavailable("the agent has no room for more streams")
        stream_id = self._h2.get_next_available_stream_id()
        stream = Stream(self, stream_id)
        headers = [(":method", method), *_AUTHORITY, (":path", path)]
        try:
            self._h2.send_headers(stream_id, headers, end_stream=end)
        except h2.exceptions.TooManyStreamsError as exc:
            raise errors.GuestUnavailable("the agent has no room for more streams") from exc
        except h2.exceptions.ProtocolError as exc:
            raise errors.GuestUnavailable(f"the agent's connection is closing: {exc}") from exc
        if end:
            stream.on_write_closed()
        self._streams[stream_id] = stream
        self._flush()
        return stream

    async def ping(self, limit_s: float) -> None:
        """Send a ping and wait for its answer.

        Raises:
            TimeoutError: no answer came within ``limit_s`` seconds.
            errors.GuestUnavailable: the connection was lost.
        """
        if self._error is not None:
            raise again(self._error)
        self._pong = asyncio.get_running_loop().create_future()
        try:
            self._h2.ping(b"gaovm-hb")
            self._flush()
            async with asyncio.timeout(limit_s):
                await self._pong
        finally:
            self._pong = None

    # called by the channel

    def receive(self, data: memoryview, budget: int) -> tuple[int, int]:
        """Take as many bytes of the agent as the budget allows; return how many, and their cost.

        Raises:
            errors.GuestProtocolError: they are not HTTP/2; the caller must drop the connection.
        """
        count, cost = self._guard.take(data, budget)
        wake = False
        try:
            for event in self._h2.receive_data(data[:count]):
                wake = self._on_event(event) or wake
        except (h2.exceptions.H2Error, ValueError, KeyError, IndexError) as exc:
            self._flush()
            raise errors.GuestProtocolError(
                f"the agent broke HTTP/2: {type(exc).__name__}: {str(exc)[:200]}"
            ) from exc
        if wake:
            self._wake_writers()
        self._flush()
        return count, cost

    def lost(self, error: errors.GaoError) -> None:
        """End every pending call and stream with ``error``. Idempotent."""
        if self._error is not None:
            return
        self._error = error
        for stream in list(self._streams.values()):
            stream.on_error(error)
        self._streams.clear()
        if self._pong is not None and not self._pong.done():
            self._pong.set_exception(again(error))

    def set_paused(self, paused: bool) -> None:
        """Note that the transport's buffer is full, or has room again."""
        self._paused = paused
        if not paused:
            self._wake_writers()

    # the streams' side

    def sendable(self, stream_id: int) -> int:
        """Return how many bytes the windows and the transport take now."""
        if self._paused:
            return 0
        try:
            window = self._h2.local_flow_control_window(stream_id)
        except h2.exceptions.ProtocolError:
            return SEND_CHUNK  # the stream is over: the caller learns it from ``send``
        return min(window, self._h2.max_outbound_frame_size, SEND_CHUNK)

    def send(self, stream_id: int, data: memoryview, *, end: bool) -> None:
        """Send one DATA frame, for which the windows must have room."""
        stream = self._streams.get(stream_id)
        try:
            self._h2.send_data(stream_id, data, end_stream=end)
        except h2.exceptions.ProtocolError:
            if stream is not None:
                stream.on_write_closed()
        if end and stream is not None:
            stream.on_write_closed()
            self._drop_if_finished(stream)
        self._flush()

    def refill(self, stream_id: int, count: int) -> None:
        """Give ``count`` bytes back to the stream's window; widen it if few streams are wide yet.

        Only busy streams come here, as ``read`` calls it for each quarter of the window.
        """
        if self._error is not None:
            return
        stream = self._streams.get(stream_id)
        if stream is not None and not stream.wide and self._wide < MAX_WIDE:
            self._wide += 1
            stream.widen()
            count += WIDE - NARROW
        try:
            self._h2.increment_flow_control_window(count, stream_id)
        except (h2.exceptions.ProtocolError, KeyError):
            return  # the stream has ended in the meantime
        self._flush()

    def cancel(self, stream_id: int) -> None:
        """Reset a stream, if it is not over."""
        stream = self._pop(stream_id)
        if stream is None or self._error is not None:
            return
        stream.on_error(errors.GuestUnavailable("the stream was cancelled"))
        try:
            self._h2.reset_stream(stream_id, h2.errors.ErrorCodes.CANCEL)
        except h2.exceptions.ProtocolError:
            return
        self._flush()

    # events

    def _on_event(self, event: h2.events.Event) -> bool:
        """Handle one event; return whether every stream may have room to write again."""
        if isinstance(event, h2.events.DataReceived):
            self._on_data(event)
        elif isinstance(event, h2.events.ResponseReceived):
            self._on_headers(event)
        elif isinstance(event, h2.events.StreamEnded):
            self._on_ended(event.stream_id)
        elif isinstance(event, h2.events.StreamReset):
            self._on_reset(event)
        elif isinstance(event, h2.events.WindowUpdated):
            return self._on_window(event.stream_id or 0)
        elif isinstance(event, h2.events.RemoteSettingsChanged):
            return True
        elif isinstance(event, h2.events.PingAckReceived):
            self._on_pong()
        elif isinstance(event, h2.events.ConnectionTerminated):
            raise errors.GuestUnavailable("the agent ended the connection")
        return False

    def _on_window(self, stream_id: int) -> bool:
        stream = self._streams.get(stream_id)
        if stream is not None:
            stream.wake_writer()
        return stream_id == 0

    def _on_pong(self) -> None:
        if self._pong is not None and not self._pong.done():
            self._pong.set_result(None)

    def _on_data(self, event: h2.events.DataReceived) -> None:
        length = event.flow_controlled_length or 0
        self._owed += length
        if self._owed >= CONNECTION_WINDOW // 8:
            self._h2.increment_flow_control_window(self._owed)
            self._owed = 0
        stream = self._streams.get(event.stream_id or 0)
        if stream is not None:
            stream.on_data(event.data or b"")

    def _on_headers(self, event: h2.events.ResponseReceived) -> None:
        stream = self._streams.get(event.stream_id or 0)
        if stream is None:
            return
        for name, value in event.headers or ():
            if str(name) == ":status":
                text = str(value)
                stream.status = int(text) if text.isdecimal() and len(text) == 3 else 0

    def _on_ended(self, stream_id: int | None) -> None:
        stream = self._streams.get(stream_id or 0)
        if stream is not None:
            stream.on_end()
            self._drop_if_finished(stream)

    def _on_reset(self, event: h2.events.StreamReset) -> None:
        stream = self._pop(event.stream_id or 0)
        if stream is not None:
            stream.on_error(errors.GuestUnavailable("the agent reset the stream"))

    def _drop_if_finished(self, stream: Stream) -> None:
        if stream.finished:
            self._pop(stream.id)

    def _pop(self, stream_id: int) -> Stream | None:
        stream = self._streams.pop(stream_id, None)
        if stream is not None and stream.wide:
            self._wide -= 1
        return stream

    def _wake_writers(self) -> None:
        for stream in list(self._streams.values()):
            stream.wake_writer()

    def _flush(self) -> None:
        data = self._h2.data_to_send()
        if data and self._error is None:
            self._write(data)
