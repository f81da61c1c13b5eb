"""A client of the RFB 3.8 protocol (VNC), sans-I/O: bytes in, events and bytes out.

The server is QEMU on a Unix socket of the same machine, so the pixels come raw: every other
encoding would cost both sides time and this side trust. Beside them: CopyRect, the changes of size
(DesktopSize, ExtendedDesktopSize), the pointer's shape, and QEMU's key events, which carry the key
that was pressed beside what is printed on it. Nothing the server says is believed: every size has a
bound, every rectangle is checked, and what was not asked for ends the connection.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Generator
from dataclasses import dataclass

from gaovm import errors
from gaovm.display.screen import PIXEL, Screen

VERSION = b"RFB 003.008\n"
_SECURITY_NONE = 1
_MAX_TEXT = 4096
_MAX_CUT = 1 << 20
_MAX_CURSOR = 512

RAW, COPY_RECT = 0, 1
CURSOR, LAST_RECT, DESKTOP_SIZE, QEMU_KEYS, EXTENDED_SIZE = -239, -224, -223, -258, -308
_ENCODINGS = (RAW, COPY_RECT, CURSOR, LAST_RECT, DESKTOP_SIZE, EXTENDED_SIZE, QEMU_KEYS)

_FORMAT = struct.pack(
    ">BBBBHHHBBBxxx", 32, 24, int(sys.byteorder == "big"), 1, 255, 255, 255, 16, 8, 0
)
_RECT = struct.Struct(">HHHHi")


@dataclass(frozen=True, slots=True)
class Resized:
    """The picture has a new size, and so a new ``Client.screen``; also told once at the start."""

    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Changed:
    """A rectangle of the picture was drawn anew."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Finished:
    """All that one update brings was told; the next one is asked for already."""


@dataclass(frozen=True, slots=True)
class Pointer:
    """The pointer's shape: ``width * height`` pixels as ``Screen`` has them, and which of them
    show: a bit each, rows padded to bytes. A size of 0: no pointer is shown.
    """

    width: int
    height: int
    hot_x: int
    hot_y: int
    pixels: bytes
    mask: bytes


Event = Resized | Changed | Finished | Pointer
#: A parser yields how many bytes it needs next and is sent exactly so many.
Parser = Generator[int, bytes, None]


class Client:
    """One connection. ``screen`` is the picture, from the first ``Resized`` event on."""

    def __init__(self) -> None:
        self.screen = Screen(1, 1)
        self.name = ""
        self.ready = False
        self._extended_keys = False
        self._buffer = bytearray()
        self._output = bytearray()
        self._events: list[Event] = []
        self._parser = self._session()
        self._wanted = next(self._parser)
        self._failed = False

    def feed(self, data: bytes | bytearray | memoryview) -> list[Event]:
        """Take bytes of the server; returns what happened.

        Raises:
            errors.ProtocolError: the server broke the protocol; the connection is of no more use.
        """
        if self._failed:
            raise errors.ProtocolError("VNC: the connection has failed already")
        self._buffer += data
        try:
            self._parse()
        except errors.ProtocolError:
            self._failed = True
            raise
        events, self._events = self._events, []
        return events

    def take(self) -> bytes:
        """What is to be sent to the server."""
        output, self._output = bytes(self._output), bytearray()
        return output

    # what the user does

    def key(self, keysym: int, code: int, *, down: bool) -> None:
        """A key: ``keysym`` as X names it, ``code`` the key's place (XT set 1, 0x80 for the E0
        half) or 0 when it is not known. Ignored before the connection is ready.
        """
        if not self.ready:
            return
        if code and self._extended_keys:
            self._output += struct.pack(">BBHII", 255, 0, int(down), keysym, code)
        else:
            self._output += struct.pack(">BBxxI", 4, int(down), keysym)

    def pointer(self, x: int, y: int, buttons: int) -> None:
        """The pointer's place and the buttons held: 1 left, 2 middle, 4 right, 8 and 16 the wheel
        up and down, 32 and 64 left and right. Ignored before the connection is ready.
        """
        if self.ready:
            x = min(max(x, 0), self.screen.width - 1)
            y = min(max(y, 0), self.screen.height - 1)
            self._output += struct.pack(">BBHH", 5, buttons & 0x7F, x, y)

    # what the server says

    def _parse(self) -> None:
        at, buffer = 0, self._buffer
        while len(buffer) - at >= self._wanted:
            part = bytes(memoryview(buffer)[at : at + self._wanted])
            at += self._wanted
            self._wanted = self._parser.send(part)
        del buffer[:at]

    def _session(self) -> Parser:
        yield from self._handshake()
        while True:
            (kind,) = yield 1
            if kind == 0:
                yield from self._update()
            elif kind == 3:
                yield from self._cut_text()
            elif kind != 2:  # 2: the bell
                raise errors.ProtocolError(f"VNC: message {kind} was not asked for")

    def _handshake(self) -> Parser:
        version = yield len(VERSION)
        if not version.startswith(b"RFB 003.") or version < VERSION:
            raise errors.ProtocolError(f"VNC: no RFB 3.8 but {version!r}")
        self._output += VERSION
        (count,) = yield 1
        if count == 0:
            raise errors.ProtocolError(f"VNC: refused: {(yield from self._text())}")
        if _SECURITY_NONE not in (yield count):
            raise errors.ProtocolError("VNC: the server wants a password")
        self._output.append(_SECURITY_NONE)
        if struct.unpack(">I", (yield 4)) != (0,):
            raise errors.ProtocolError(f"VNC: refused: {(yield from self._text())}")
        self._output.append(1)  # shared: other viewers may stay
        width, height = struct.unpack(">HH16x", (yield 20))
        self.name = yield from self._text()
        self._resize(width, height)
        self._output += struct.pack(">Bxxx", 0) + _FORMAT
        self._output += struct.pack(f">BxH{len(_ENCODINGS)}i", 2, len(_ENCODINGS), *_ENCODINGS)
        self.ready = True
        self._request(incremental=False)

    def _text(self) -> Generator[int, bytes, str]:
        (length,) = struct.unpack(">I", (yield 4))
        if length > _MAX_TEXT:
            raise errors.ProtocolError(f"VNC: a text of {length} bytes")
        return (yield length).decode("utf-8", "replace")

    def _cut_text(self) -> Parser:
        (length,) = struct.unpack(">xxxI", (yield 7))
        if length > _MAX_CUT:
            raise errors.ProtocolError(f"VNC: a clipboard of {length} bytes")
        yield length  # the host's clipboard stays the host's

    def _update(self) -> Parser:
        (count,) = struct.unpack(">xH", (yield 3))
        grown = False
        for _ in range(count):
            x, y, width, height, encoding = _RECT.unpack((yield _RECT.size))
            if encoding == LAST_RECT:
                break
            before = self.screen
            yield from self._rectangle(encoding, x, y, width, height)
            grown = grown or self.screen is not before
        self._events.append(Finished())
        # after a change of size everything is asked for: what fitted of the old is only a filler
        self._request(incremental=not grown)

    def _rectangle(self, encoding: int, x: int, y: int, width: int, height: int) -> Parser:
        if encoding == RAW:
            yield from self._raw(x, y, width, height)
        elif encoding == COPY_RECT:
            from_x, from_y = struct.unpack(">HH", (yield 4))
            self.screen.check(from_x, from_y, width, height)
            self.screen.check(x, y, width, height)
            self.screen.copy((from_x, from_y), x, y, width, height)
            self._events.append(Changed(x, y, width, height))
        elif encoding == DESKTOP_SIZE:
            self._resize(width, height)
        elif encoding == EXTENDED_SIZE:
            (screens,) = struct.unpack(">Bxxx", (yield 4))
            yield 16 * screens
            if y == 0:  # else a request for a size was refused, and nothing has changed
                self._resize(width, height)
        elif encoding == CURSOR:
            yield from self._cursor(x, y, width, height)
        elif encoding == QEMU_KEYS:
            self._extended_keys = True
        else:
            raise errors.ProtocolError(f"VNC: encoding {encoding} was not asked for")

    def _raw(self, x: int, y: int, width: int, height: int) -> Parser:
        self.screen.check(x, y, width, height)
        if not width or not height:
            return
        # row by row: an update may be cut anywhere, and never is more held than came
        screen, stride = self.screen, width * PIXEL
        for row in range(y, y + height):
            screen.put_row(x, row, (yield stride))
        self._events.append(Changed(x, y, width, height))

    def _cursor(self, hot_x: int, hot_y: int, width: int, height: int) -> Parser:
        if width > _MAX_CURSOR or height > _MAX_CURSOR:
            raise errors.ProtocolError(f"VNC: a pointer of {width} x {height} pixels")
        pixels = yield width * height * PIXEL
        mask = yield (width + 7) // 8 * height
        self._events.append(Pointer(width, height, hot_x, hot_y, pixels, mask))

    def _resize(self, width: int, height: int) -> None:
        if (width, height) != (self.screen.width, self.screen.height) or not self.ready:
            self.screen = self.screen.resized(width, height)
            self._events.append(Resized(width, height))

    def _request(self, *, incremental: bool) -> None:
        screen = self.screen
        self._output += struct.pack(
            ">BBHHHH", 3, int(incremental), 0, 0, screen.width, screen.height
        )
