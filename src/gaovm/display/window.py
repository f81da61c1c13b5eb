"""The Qt window: it paints the picture, sends keys and pointer, and follows the guest's size."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable
from typing import Any

from PySide6.QtCore import QPoint, QPointF, QRect, QSize, QSocketNotifier, Qt
from PySide6.QtGui import (
    QBitmap,
    QCloseEvent,
    QCursor,
    QFocusEvent,
    QGuiApplication,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPixmap,
    QRasterWindow,
    QWheelEvent,
)

from gaovm import errors
from gaovm.display import keys, rfb

READ_BYTES = 1 << 20
#: With more unsent bytes than this the window drops movements of the pointer.
MAX_PENDING = 64 << 10
_WHEEL_STEP = 120
_BUTTONS = {
    Qt.MouseButton.LeftButton: 1,
    Qt.MouseButton.MiddleButton: 2,
    Qt.MouseButton.RightButton: 4,
}
_X_PLATFORMS = ("xcb", "wayland")

Report = Callable[..., None]


class Link:
    """The connection to the VNC server, driven by Qt's event loop. It calls ``on_end`` once."""

    def __init__(
        self, sock: socket.socket, on_event: Callable[[rfb.Event], None], on_end: Callable[[], None]
    ) -> None:
        self.client = rfb.Client()
        self._sock, self._on_event, self._on_end = sock, on_event, on_end
        self._pending = bytearray()
        sock.setblocking(False)
        self._reader = QSocketNotifier(sock.fileno(), QSocketNotifier.Type.Read)
        self._writer = QSocketNotifier(sock.fileno(), QSocketNotifier.Type.Write)
        self._writer.setEnabled(False)
        self._reader.activated.connect(self._read)
        self._writer.activated.connect(self.flush)

    @property
    def congested(self) -> bool:
        """Whether the server reads too slowly."""
        return len(self._pending) > MAX_PENDING

    def flush(self) -> None:
        """Send the client's bytes, as many as the socket takes now."""
        self._pending += self.client.take()
        try:
            while self._pending:
                sent = self._sock.send(self._pending)
                del self._pending[:sent]
        except BlockingIOError:
            pass
        except OSError:
            self._end()
            return
        self._writer.setEnabled(bool(self._pending))

    def _read(self) -> None:
        try:
            data = self._sock.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._end()
            return
        try:
            events = self.client.feed(data)
        except errors.ProtocolError as exc:
            sys.stderr.write(f"{exc}\n")
            self._end()
            return
        self.flush()
        for event in events:
            self._on_event(event)

    def _end(self) -> None:
        self._reader.setEnabled(False)
        self._writer.setEnabled(False)
        self._on_end()


class Window(QRasterWindow):
    """The window. It calls ``report`` with what the driver must know."""

    def __init__(self, sock: socket.socket, title: str, report: Report) -> None:
        super().__init__()
        self._report = report
        self._link = Link(sock, self._on_event, self._on_server_end)
        self._image = QImage()
        self._held: dict[int, tuple[int, int]] = {}
        self._buttons = 0
        self._wheel = QPoint()
        self._shown = False
        self._ended = False
        self.setTitle(f"{title} - GaoVM")

    # the server's side

    def _on_event(self, event: rfb.Event) -> None:
        if isinstance(event, rfb.Resized):
            self._on_size(event)
        elif isinstance(event, rfb.Changed):
            self.update(self._on_window(QRect(event.x, event.y, event.width, event.height)))
        elif isinstance(event, rfb.Pointer):
            self.setCursor(_cursor(event))
        elif not self._shown:
            self._shown = True
            self.show()
            self.requestActivate()
            size = self._image.size()
            self._report("open", width=size.width(), height=size.height())

    def _on_size(self, size: rfb.Resized) -> None:
        screen = self._link.client.screen
        # no copy: the image uses the bytes that the client writes to
        self._image = QImage(
            screen.pixels, screen.width, screen.height, screen.stride, QImage.Format.Format_RGB32
        )
        free = self.windowStates() & (
            Qt.WindowState.WindowMaximized | Qt.WindowState.WindowFullScreen
        )
        if not free:
            room = self.screen().availableSize()
            self.resize(QSize(size.width, size.height).boundedTo(room))
        self.update()
        if self._shown:
            self._report("size", width=size.width, height=size.height)

    def _on_server_end(self) -> None:
        self._ended = True
        self._report("ended")
        QGuiApplication.quit()

    # geometry

    def _target(self) -> QRect:
        """Return where the picture is: in the middle, as large as fits, in its own shape."""
        size = self._image.size()
        if size.isEmpty():
            return QRect()
        if not (self.width() == size.width() and self.height() == size.height()):
            size = size.scaled(self.size(), Qt.AspectRatioMode.KeepAspectRatio)
        corner = QPoint((self.width() - size.width()) // 2, (self.height() - size.height()) // 2)
        return QRect(corner, size)

    def _on_window(self, part: QRect) -> QRect:
        """Return where a part of the picture is in the window."""
        target = self._target()
        if target.size() == self._image.size():
            return part.translated(target.topLeft())
        across = target.width() / max(1, self._image.width())
        down = target.height() / max(1, self._image.height())
        left, top = target.x() + int(part.x() * across), target.y() + int(part.y() * down)
        # two pixels more on each side, as smooth scaling reaches beyond the part
        width, height = int(part.width() * across) + 5, int(part.height() * down) + 5
        return QRect(left - 2, top - 2, width, height)

    def _in_guest(self, at: QPointF) -> tuple[int, int]:
        target = self._target()
        x = (at.x() - target.x()) * self._image.width() / max(1, target.width())
        y = (at.y() - target.y()) * self._image.height() / max(1, target.height())
        return int(x), int(y)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the picture, and black around it."""
        painter = QPainter(self)
        painter.setClipRegion(event.region())
        target = self._target()
        whole = QRect(QPoint(0, 0), self.size())
        if target != whole:
            painter.fillRect(whole, Qt.GlobalColor.black)
        if target.size() != self._image.size():
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.drawImage(target, self._image)
        painter.end()

    # the user's side

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Send a key that goes down, but not its repetitions: the guest's kernel makes its own."""
        if event.isAutoRepeat():
            return
        symbol, place = _key(event)
        if symbol or place:
            self._held[_identity(event)] = (symbol, place)
            self._link.client.key(symbol, place, down=True)
            self._link.flush()

    def keyReleaseEvent(self, event: QKeyEvent) -> None:
        """Send a key that goes up: the one that went down, whatever it prints now."""
        if event.isAutoRepeat():
            return
        held = self._held.pop(_identity(event), None)
        if held is not None:
            self._link.client.key(*held, down=False)
            self._link.flush()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """Release all held keys in the guest, because the window loses the keyboard."""
        for symbol, place in self._held.values():
            self._link.client.key(symbol, place, down=False)
        self._held.clear()
        self._link.flush()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Send the pointer's position."""
        if not self._link.congested:
            self._point(event.position())

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Send a button that goes down."""
        self._buttons |= _BUTTONS.get(event.button(), 0)
        self._point(event.position())

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Send a button that goes up."""
        self._buttons &= ~_BUTTONS.get(event.button(), 0)
        self._point(event.position())

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Send a click of the wheel's button for each step that the wheel turns."""
        self._wheel += event.angleDelta()
        at = event.position()
        while abs(self._wheel.y()) >= _WHEEL_STEP:
            up = self._wheel.y() > 0
            self._wheel -= QPoint(0, _WHEEL_STEP if up else -_WHEEL_STEP)
            self._click(at, 8 if up else 16)
        while abs(self._wheel.x()) >= _WHEEL_STEP:
            left = self._wheel.x() > 0
            self._wheel -= QPoint(_WHEEL_STEP if left else -_WHEEL_STEP, 0)
            self._click(at, 32 if left else 64)

    def _click(self, at: QPointF, button: int) -> None:
        self._point(at, self._buttons | button)
        self._point(at)

    def _point(self, at: QPointF, buttons: int | None = None) -> None:
        x, y = self._in_guest(at)
        self._link.client.pointer(x, y, self._buttons if buttons is None else buttons)
        self._link.flush()

    def closeEvent(self, event: QCloseEvent) -> None:
        """End the process, because the user has closed the window. The VM runs on."""
        if not self._ended:  # else Qt closes the window, because the process quits
            self._report("closed")
        QGuiApplication.quit()


def _identity(event: QKeyEvent) -> int:
    """Return a number that is the same at press and release of a key."""
    return event.nativeScanCode() or event.key()


def _key(event: QKeyEvent) -> tuple[int, int]:
    """Return symbol and place of a key."""
    if QGuiApplication.platformName() in _X_PLATFORMS:
        symbol = event.nativeVirtualKey()
        return symbol, keys.place_of(symbol, event.nativeScanCode())
    symbol = keys.symbol_of(event.key(), event.text())
    return symbol, keys.place_of(symbol, 0)


def _cursor(shape: rfb.Pointer) -> QCursor:
    if not shape.width or not shape.height:
        return QCursor(Qt.CursorShape.BlankCursor)
    stride = shape.width * 4
    image = QImage(shape.pixels, shape.width, shape.height, stride, QImage.Format.Format_RGB32)
    row = (shape.width + 7) // 8
    mask = QImage(shape.mask, shape.width, shape.height, row, QImage.Format.Format_Mono)
    picture = QPixmap.fromImage(image)
    # In RFB a set bit shows; in a Qt bitmap from a monochrome image, black (0) shows.
    mask.invertPixels()
    picture.setMask(QBitmap.fromImage(mask))
    return QCursor(picture, min(shape.hot_x, shape.width - 1), min(shape.hot_y, shape.height - 1))


def run(vnc: socket.socket, commands: int, title: str) -> int:
    """Run the window in this process until it ends; return the exit status.

    ``commands`` is a descriptor: ``raise`` brings the window to the front, end of file closes it.
    """
    application = QGuiApplication([sys.argv[0]])
    application.setApplicationName("gaovm")
    application.setDesktopFileName("gaovm")
    window = Window(vnc, title, report)
    os.set_blocking(commands, False)
    listener = QSocketNotifier(commands, QSocketNotifier.Type.Read)

    def on_command() -> None:
        try:
            data = os.read(commands, 4096)
        except BlockingIOError:
            return
        if not data:
            listener.setEnabled(False)
            application.quit()
        elif b"raise" in data:
            window.raise_()
            window.requestActivate()

    listener.activated.connect(on_command)
    return application.exec()


def report(what: str, **more: Any) -> None:
    """Write a report to stdout, one line of JSON; ignore a driver that is gone."""
    line = json.dumps({"is": what, **more}) + "\n"
    try:
        os.write(1, line.encode())
    except OSError:
        return
