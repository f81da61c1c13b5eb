"""A small VNC server like QEMU's: RFB 3.8, no password, raw pixels. Does no I/O itself.

Each pixel has the value ``0x00xxyyzz`` of its column, its row and ``shade``. The server keeps the
client's messages in ``keys`` (down, keysym, code), ``pointers`` (x, y, buttons) and ``requests``
(incremental or not).
"""

from __future__ import annotations

import struct

RAW, EXTENDED_SIZE, QEMU_KEYS = 0, -308, -258
_FIXED = {0: 20, 3: 10, 4: 8, 5: 6, 255: 12}


class FakeVnc:
    """A server for one client: feed it the client's bytes and send what it returns."""

    def __init__(self, width: int = 320, height: int = 200, *, name: str = "fake") -> None:
        self.width, self.height, self.name = width, height, name
        self.shade = 0
        self.keys: list[tuple[bool, int, int]] = []
        self.pointers: list[tuple[int, int, int]] = []
        self.requests: list[bool] = []
        self.encodings: tuple[int, ...] = ()
        self._buffer = bytearray()
        self._step = 0

    @staticmethod
    def hello() -> bytes:
        """Return the greeting, which it sends without a request."""
        return b"RFB 003.008\n"

    def feed(self, data: bytes) -> bytes:
        """Take bytes of the client and return bytes for it."""
        self._buffer += data
        answer = bytearray()
        while (length := self._length()) and len(self._buffer) >= length:
            message = bytes(self._buffer[:length])
            del self._buffer[:length]
            answer += self._on_greeting(message) if self._step < 3 else self._on_message(message)
        return bytes(answer)

    def picture(self, x: int = 0, y: int = 0, width: int = 0, height: int = 0) -> bytes:
        """Return the pixels of a rectangle, or of the whole picture without one."""
        rows = range(y, y + (height or self.height))
        columns = range(x, x + (width or self.width))
        return b"".join(
            struct.pack("=I", (column & 255) << 16 | (row & 255) << 8 | self.shade)
            for row in rows
            for column in columns
        )

    def update(self, x: int = 0, y: int = 0, width: int = 0, height: int = 0) -> bytes:
        """Return an update of a rectangle, or of the whole picture without one."""
        width, height = width or self.width, height or self.height
        head = struct.pack(">BxHHHHHi", 0, 1, x, y, width, height, RAW)
        return head + self.picture(x, y, width, height)

    def resize(self, width: int, height: int) -> bytes:
        """Change the size; the client then requests the whole picture."""
        self.width, self.height = width, height
        screen = struct.pack(">B3xIHHHHI", 1, 1, 0, 0, width, height, 0)
        return struct.pack(">BxHHHHHi", 0, 1, 0, 0, width, height, EXTENDED_SIZE) + screen

    def _length(self) -> int:
        """Return the length of the next message; 0 when it is not known yet."""
        if self._step < 3:
            return (12, 1, 1)[self._step]
        if not self._buffer:
            return 0
        if self._buffer[0] == 2:
            return 4 + 4 * struct.unpack_from(">H", self._buffer, 2)[0] if self._buffer[3:] else 0
        return _FIXED[self._buffer[0]]

    def _on_greeting(self, message: bytes) -> bytes:
        self._step += 1
        if self._step == 1:
            return b"\x01\x01"
        if self._step == 2:
            return b"\0\0\0\0"
        name = self.name.encode()
        head = struct.pack(">HH", self.width, self.height)
        pixels = struct.pack(">BBBBHHHBBBxxx", 32, 24, 0, 1, 255, 255, 255, 16, 8, 0)
        return head + pixels + struct.pack(">I", len(name)) + name

    def _on_message(self, message: bytes) -> bytes:
        kind = message[0]
        if kind == 2:
            self.encodings = struct.unpack(f">{(len(message) - 4) // 4}i", message[4:])
            return struct.pack(">BxHHHHHi", 0, 1, 0, 0, 0, 0, QEMU_KEYS)
        if kind == 3:
            incremental = bool(message[1])
            self.requests.append(incremental)
            return b"" if incremental else self.update()
        if kind == 4:
            down, keysym = struct.unpack(">xBxxI", message)
            self.keys.append((bool(down), keysym, 0))
        elif kind == 255:
            down, keysym, code = struct.unpack(">xxHII", message)
            self.keys.append((bool(down), keysym, code))
        elif kind == 5:
            buttons, x, y = struct.unpack(">xBHH", message)
            self.pointers.append((x, y, buttons))
        return b""
