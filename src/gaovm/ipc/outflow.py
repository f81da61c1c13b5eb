"""What goes out of a connection beside calls and answers: made once for many, and held back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec

from gaovm.ipc import frames, jsonrpc

if TYPE_CHECKING:
    from collections.abc import Callable

# what may wait to be sent before a connection calls itself congested
CONGESTED_BYTES = 256 << 10

_ENCODER = msgspec.json.Encoder()


def encode(method: str, params: Any) -> bytes:
    """A notification as a frame, for ``Connection.send_encoded``.

    Raises:
        errors.FrameError: larger than 16 MiB.
    """
    return frames.frame(_ENCODER.encode(jsonrpc.notification(method, params)))


class Outflow(asyncio.Protocol):
    """Knows whether the other side takes what is sent. ``congested``: hold back what can wait."""

    def __init__(self) -> None:
        self.congested = False
        self._drain_callbacks: list[Callable[[], None]] = []

    def on_drain(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` each time the connection ceases to be ``congested``."""
        self._drain_callbacks.append(callback)

    def pause_writing(self) -> None:
        self.congested = True

    def resume_writing(self) -> None:
        self.congested = False
        for callback in tuple(self._drain_callbacks):
            callback()
