"""A client of the RFB 3.8 protocol (VNC), sans-I/O: bytes in, events and bytes out.

The server is QEMU on a Unix socket of the same machine, so the client asks for raw pixels: any
other encoding would cost both sides time, and this side would have to trust a decoder. It also asks
for CopyRect, changes of size (DesktopSize, ExtendedDesktopSize), the pointer's shape, and QEMU's
key events, which carry the place of a key besides its symbol. The client does not trust the server:
it bounds every size, checks every rectangle, and ends the connection at anything it did not ask
for.
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
    """The picture has a new size, and ``Client.screen`` is a new one. The first event is this."""

    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Changed:
    """The server has drawn a rectangle of the picture."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Finished:
    """One update is complete; the client has asked for the next one."""


@dataclass(frozen=True, slots=True)
class Pointer:
    """The pointer's shape: ``width * height`` pixels in the form of ``Screen``, and a mask.

    The mask has a bit for each pixel that shows; its rows are padded to bytes. A pointer of size 0
    is hidden.
    """

    width: int
    height: int
    hot_x: int
    hot_y: int
    pixels: bytes
    mask: bytes


Event = Resized | Changed | Finished | Pointer
#: A parser yields how many bytes it needs next, and gets exactly that many.
Parser = Generator[int, bytes, None]


class Client:
    """One connection. From the first ``Resized`` event on, ``screen`` is the picture."""

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
        """Take bytes of the server and return the events in them.

        Raises:
            errors.ProtocolError: the server broke the protocol; drop the connection.
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
        """Return the bytes to send to the server, once."""
        output, self._output = bytes(self._output), bytearray()
        return output

    # what the user does

    def key(self, keysym: int, code: int, *, down: bool) -> None:
        """Press or release a key.

        ``keysym`` is its X symbol, ``code`` its place (XT set 1, 0x80 for the E0 half) or 0 when
        that is not known. Does nothing before the connection is ready.
        """
        if not self.ready:
            return
        if code and self._extended_keys:
            self._output += struct.pack(">BBHII", 255, 0, int(down), keysym, code)
        else:
            self._output += struct.pack(">BBxxI", 4, int(down), keysym)

    def pointer(self, x: int, y: int, buttons: int) -> None:
        """Send the pointer's position and the buttons that are down.

        Buttons are the sum of 1 left, 2 middle, 4 right, 8 and 16 wheel up and down, 32 and 64
        wheel left and right. Does nothing before the connection is ready.
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
        yield length  # dropped: the guest does not change the host's clipboard

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
        # After a change of size ask for everything: the new picture only holds old pixels.
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
            if y == 0:  # else the server has refused a request for a size, and nothing has changed
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
        # Row by row: an update may arrive in any pieces, and the client keeps no more than a row.
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
