"""Send a connection's bytes: in batches, with a limit, held back while the other side is slow."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import msgspec

from gaovm.ipc import frames, jsonrpc

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_UNSENT_BYTES = 32 << 20
# a connection with more unsent bytes than this is congested
CONGESTED_BYTES = 256 << 10
# how much output may gather in one turn of the event loop before it goes to the socket
BATCH_BYTES = 256 << 10
# how long a closing connection may take to send its remaining output
_FAREWELL_S = 2.0

_ENCODER = msgspec.json.Encoder()


def encode(method: str, params: Any) -> bytes:
    """Return a notification as a frame, for ``Connection.send_encoded``.

    Raises:
        errors.FrameError: the frame is larger than 16 MiB.
    """
    return frames.frame(_ENCODER.encode(jsonrpc.notification(method, params)))


class Transport(asyncio.Protocol):
    """Send the subclass's output. While ``congested``, callers hold back what can wait.

    A subclass implements ``_take_output`` and ``_on_unread``.
    """

    def __init__(self) -> None:
        self.congested = False
        self._drain_callbacks: list[Callable[[], None]] = []
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._flush_scheduled = False
        self._farewell: asyncio.TimerHandle | None = None

    def on_drain(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` each time the connection ceases to be ``congested``."""
        self._drain_callbacks.append(callback)

    # the event loop calls these

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=CONGESTED_BYTES, low=0)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._farewell is not None:
            self._farewell.cancel()
            self._farewell = None

    def pause_writing(self) -> None:
        self.congested = True

    def resume_writing(self) -> None:
        self.congested = False
        for callback in tuple(self._drain_callbacks):
            callback()

    # for the subclass

    def _take_output(self) -> list[bytes]:
        """Return the output that was not taken yet."""
        raise NotImplementedError

    def _on_unread(self) -> None:
        """React when the other side has left more than ``MAX_UNSENT_BYTES`` unread."""
        raise NotImplementedError

    def _schedule_flush(self) -> None:
        """Send at the end of this turn of the event loop."""
        if not self._flush_scheduled:
            self._flush_scheduled = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_scheduled = False
        output = self._take_output()
        if output:
            self._write(output[0] if len(output) == 1 else b"".join(output))

    def _write(self, data: bytes) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        transport.write(data)
        if transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
            self._on_unread()

    def _hang_up(self) -> None:
        """Close the socket once everything is sent, or when sending takes too long. Idempotent."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.close()
            self._farewell = self._loop.call_later(_FAREWELL_S, self._transport.abort)

    def _abort(self) -> None:
        """Close the socket at once and drop what is not sent yet."""
        if self._transport is not None:
            self._transport.abort()
