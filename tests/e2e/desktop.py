"""A desktop without a screen: an X server, and the hands and eyes of somebody at it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from typing import Any

from Xlib import XK, X
from Xlib import display as xdisplay
from Xlib import error as xerror
from Xlib.ext import xtest
from Xlib.protocol import event as xevent

WIDTH, HEIGHT = 1600, 1000
STROKE_S = 0.02
#: Characters whose X name differs from themselves; all are on a US keyboard.
_NAMES = {
    "\n": "Return", " ": "space", "-": "minus", ".": "period", "/": "slash", ">": "greater",
    "_": "underscore", "\t": "Tab",
}  # fmt: skip
_SHIFTED = set('ABCDEFGHIJKLMNOPQRSTUVWXYZ>_"?:')


class Desktop:
    """One X server and a connection to it."""

    def __init__(self, server: subprocess.Popen[bytes], number: str) -> None:
        self.server, self.name = server, f":{number}"
        self._x: Any = xdisplay.Display(self.name)

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self._x.close()
        self.server.terminate()
        self.server.wait(10)

    def windows(self, title: str) -> list[Any]:
        """Return every window on the desktop with that title."""
        found = []
        for window in self._x.screen().root.query_tree().children:
            with contextlib.suppress(xerror.BadWindow):
                if window.get_wm_name() == title:
                    found.append(window)
        return found

    def window(self, title: str) -> Any:
        """Return the only window with that title."""
        (found,) = self.windows(title)
        return found

    def size(self, title: str) -> tuple[int, int]:
        """Return width and height of a window's inside; zeros if there is no window."""
        for window in self.windows(title):
            with contextlib.suppress(xerror.BadDrawable):
                geometry = window.get_geometry()
                return geometry.width, geometry.height
        return 0, 0

    def picture(self, title: str) -> bytes:
        """Return what a window shows: four bytes a pixel, blue first."""
        width, height = self.size(title)
        image = self.window(title).get_image(0, 0, width, height, X.ZPixmap, 0xFFFFFFFF)
        data = image.data
        return data if isinstance(data, bytes) else data.encode("latin-1")

    def focus(self, title: str) -> None:
        """Give a window the keyboard, as a window manager would."""
        self.window(title).set_input_focus(X.RevertToParent, X.CurrentTime)
        self._x.sync()

    def type(self, text: str) -> None:
        """Press and release keys, as fast as a quick typist.

        If it were faster, X would take two strokes of one key for one key that is held.
        """
        shift = self._x.keysym_to_keycode(XK.XK_Shift_L)
        for character in text:
            name = _NAMES.get(character, character)
            key = self._x.keysym_to_keycode(XK.string_to_keysym(name))
            assert key, f"no key prints {character!r}"
            shifted = character in _SHIFTED
            if shifted:
                xtest.fake_input(self._x, X.KeyPress, shift)
            xtest.fake_input(self._x, X.KeyPress, key)
            xtest.fake_input(self._x, X.KeyRelease, key)
            if shifted:
                xtest.fake_input(self._x, X.KeyRelease, shift)
            self._x.sync()
            time.sleep(STROKE_S)

    def press(self, keysym: int) -> None:
        """Press and release one key by its X symbol."""
        key = self._x.keysym_to_keycode(keysym)
        xtest.fake_input(self._x, X.KeyPress, key)
        xtest.fake_input(self._x, X.KeyRelease, key)
        self._x.sync()

    def point(self, title: str, x: int, y: int) -> None:
        """Move the pointer to a place in a window."""
        place = self.window(title).translate_coords(self._x.screen().root, 0, 0)
        xtest.fake_input(self._x, X.MotionNotify, x=x - place.x, y=y - place.y)
        self._x.sync()

    def click(self, button: int = 1) -> None:
        """Press and release a button of the pointer."""
        xtest.fake_input(self._x, X.ButtonPress, button)
        xtest.fake_input(self._x, X.ButtonRelease, button)
        self._x.sync()

    def resize(self, title: str, width: int, height: int) -> None:
        """Resize a window, as a user does by its corner."""
        self.window(title).configure(width=width, height=height)
        self._x.sync()

    def ask_to_close(self, title: str) -> None:
        """Close a window, as a user does by the cross in its corner."""
        window = self.window(title)
        wish = self._x.intern_atom("WM_DELETE_WINDOW")
        message = xevent.ClientMessage(
            window=window,
            client_type=self._x.intern_atom("WM_PROTOCOLS"),
            data=(32, [wish, X.CurrentTime, 0, 0, 0]),
        )
        window.send_event(message)
        self._x.sync()


@contextlib.contextmanager
def desktop() -> Iterator[Desktop]:
    """Run a separate X server for the length of a block."""
    reading, writing = os.pipe()
    server = subprocess.Popen(
        [
            *("Xvfb", "-displayfd", str(writing), "-nolisten", "tcp", "-noreset"),
            *("-screen", "0", f"{WIDTH}x{HEIGHT}x24"),
        ],
        pass_fds=[writing],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(writing)
    with os.fdopen(reading) as ready:
        number = ready.readline().strip()
    assert number, "Xvfb did not start: run scripts/setup --desktop"
    made = Desktop(server, number)
    try:
        yield made
    finally:
        made.close()
