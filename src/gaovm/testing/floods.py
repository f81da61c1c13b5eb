"""Endless data from a hostile agent, as blocks of bytes to repeat. Does no I/O itself.

All floods are cheap to make. Those in ``KEEPS`` keep within the connection's limits; the others
exceed them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

from gaovm.wire import streams

BLOCK = 64 << 10
#: The host's window: how much an agent may send on a stream before the host has read it.
WINDOW = 64 << 10
_DATA, _HEADERS, _RST, _SETTINGS, _PING, _WINDOW_UPDATE = 0x0, 0x1, 0x3, 0x4, 0x6, 0x8
_CONTINUATION, _UNKNOWN = 0x9, 0xEE
KEEPS = ("ping", "window", "reset", "small-data", "empty-data", "empty-frames")
BREAKS = (
    "few-settings",
    "settings",
    "many-settings",
    "headers",
    "unknown",
    "hello",
    "lines",
    "noise",
)
NAMES = KEEPS + BREAKS


def _frame(kind: int, payload: bytes = b"", stream: int = 0, flags: int = 0) -> bytes:
    head = len(payload).to_bytes(3, "big") + bytes((kind, flags))
    return head + struct.pack(">I", stream) + payload


def _hello(number: int) -> bytes:
    return f'GAOVM-AGENT/1 {number:032x} {{"version":"flood","pid":{number}}}\n'.encode()


def _setting(value: int) -> bytes:
    return struct.pack(">HI", 0x1, value)  # the size of the header table: the host keeps each one


_BLOCKS: dict[str, Callable[[int], bytes]] = {
    "ping": lambda stream: _frame(_PING, b"flooding"),
    "window": lambda stream: _frame(_WINDOW_UPDATE, struct.pack(">I", 1)),
    "reset": lambda stream: _frame(_RST, struct.pack(">I", 8), 1),
    "empty-data": lambda stream: _frame(_DATA, b"", stream),
    "small-data": lambda stream: _frame(_DATA, b"ab", stream),
    "empty-frames": lambda stream: _frame(_DATA, streams.encode(streams.OUTPUT) * 3000, stream),
    "few-settings": lambda stream: _frame(_SETTINGS, _setting(1)) + _frame(_PING, b"flooding") * 99,
    "settings": lambda stream: _frame(_SETTINGS, _setting(1)) + _frame(_SETTINGS, _setting(2)),
    "many-settings": lambda stream: _frame(_SETTINGS, b"".join(map(_setting, range(10_000)))),
    "headers": lambda stream: _frame(_HEADERS, b"x" * (1 << 20), 1) + _frame(_CONTINUATION, b"x"),
    "unknown": lambda stream: _frame(_UNKNOWN, b"x" * 1000),
    "hello": lambda stream: b"".join(map(_hello, range(100))),
    "lines": lambda stream: b"\n",
    "noise": lambda stream: bytes(range(256)),
}


def blocks(name: str, total: int, streams: list[int]) -> Iterator[bytes]:
    """Yield about ``total`` bytes of one flood; data stays within the open streams' windows."""
    # Headers come before data: this is ":status: 200" in HPACK.
    yield b"".join(_frame(_HEADERS, b"\x88", stream, 0x4) for stream in streams)
    if name in ("small-data", "empty-frames"):
        for stream in streams:
            one = _BLOCKS[name](stream)
            payload = len(one) - 9
            yield one * (WINDOW // payload)
        return
    one = _BLOCKS[name](streams[0] if streams else 1)
    block = one * max(1, BLOCK // len(one))
    for _ in range(max(1, total // len(block))):
        yield block
