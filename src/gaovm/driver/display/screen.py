"""The display of the VM: its window, opened and closed at will, and screenshots.

The window is a process of this driver (``window``). The driver gives it a connected socket, watches
and reaps it; it dies with the driver. Whatever happens to it does not affect the hypervisor.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import Mapping
from pathlib import Path

from gaovm import errors
from gaovm.aio import files, sockets, tasks
from gaovm.driver.backend import Screen
from gaovm.driver.display import window
from gaovm.driver.status import Notify
from gaovm.wire.driver import notifications, results
from gaovm.wire.driver.launch import LaunchRequest

logger = logging.getLogger(__name__)
ACCEPT_PAUSE_S = 1.0
SCREENSHOT = "screenshot.png"
_PNG = struct.Struct(">8s4x4sII")


class Display:
    """The display of one VM; idle until the VM runs and somebody asks."""

    def __init__(self, owner: tasks.TaskOwner, notify: Notify) -> None:
        self._owner, self._notify = owner, notify
        self._request: LaunchRequest | None = None
        self._screen: Screen | None = None
        self._window: window.Window | None = None
        self._listener: socket.socket | None = None
        self._serving: asyncio.Task[None] | None = None
        self._opened = 0
        self._size = (0, 0)
        self._turn = asyncio.Lock()

    def attach(self, request: LaunchRequest, screen: Screen) -> None:
        """Note that the VM has started."""
        graphics = request.spec.graphics
        if graphics.enabled:
            self._request, self._screen = request, screen
            self._size = (graphics.width, graphics.height)
            self._listener = sockets.bind_unix(Path(request.vnc_socket))
            self._serving = self._owner.start(
                self._serve(self._listener), name="viewers", finishable=True
            )

    async def detach(self) -> None:
        """After the VM's end: close the window, remove the socket. Idempotent."""
        request, self._request, self._screen = self._request, None, None
        if self._window is not None:
            await self._window.close("vm")
        if self._serving is not None:
            await tasks.cancel_and_wait(self._serving)
            self._serving = None
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        if request is not None:
            Path(request.vnc_socket).unlink(missing_ok=True)

    async def _serve(self, listener: socket.socket) -> None:
        """Hand every viewer that connects over to the hypervisor, which then serves it alone."""
        loop = asyncio.get_running_loop()
        listener.setblocking(False)
        while True:
            try:
                viewer, _ = await loop.sock_accept(listener)
            except OSError as exc:
                logger.warning("viewers: %s", exc)
                await asyncio.sleep(ACCEPT_PAUSE_S)
                continue
            with viewer:
                try:
                    _, screen = await self._running()
                    await screen.view(viewer)
                except errors.GaoError as exc:
                    logger.warning("a viewer was not accepted: %s", exc)

    def describe(self) -> results.Display:
        """Answer ``display.status``; the size is the guest's, as last seen."""
        shown = self._window
        return results.Display(
            enabled=self._request is not None,
            open=shown is not None,
            width=self._size[0],
            height=self._size[1],
            opened_count=self._opened,
            window_pid=None if shown is None else shown.pid,
        )

    async def open(self, seat: Mapping[str, str]) -> results.Display:
        """Open the window on a desktop and wait until it shows; bring an open one to the front.

        Raises:
            errors.StateConflict: the VM has no display, or does not run.
            errors.ProgramMissing: PySide6 is not installed.
            errors.HostError: the desktop cannot be reached, or did not show the window in 30 s.
        """
        environment = window.environment(seat)
        async with self._turn:
            request, screen = await self._running()
            if self._window is not None:
                self._window.to_front()
                return self.describe()
            vnc = await _connect(screen)
            opened = self._window = window.Window(vnc, self._on_report, self._on_end)
            opened.task = self._owner.start(
                opened.run(request.spec.name, environment), name="window", finishable=True
            )
            await opened.wait_shown()
            return self.describe()

    async def close(self) -> results.Display:
        """Close the window, if there is one."""
        async with self._turn:
            if self._window is not None:
                await self._window.close("asked")
            return self.describe()

    async def screenshot(self) -> results.Screenshot:
        """Write the display's picture to ``screenshot.png`` in the VM's directory, atomically.

        Raises:
            errors.StateConflict: the VM has no display, or does not run.
            errors.HypervisorFailed: the hypervisor did not write it.
        """
        async with self._turn:
            request, screen = await self._running()
            path = Path(request.vm_dir, SCREENSHOT)
            picture = await screen.screendump()
            self._size = _png_size(picture)
            files.write_atomic(path, picture)
        width, height = self._size
        return results.Screenshot(
            path=str(path), width=width, height=height, size_bytes=len(picture)
        )

    async def _running(self) -> tuple[LaunchRequest, Screen]:
        request, screen = self._request, self._screen
        if request is None or screen is None or not await screen.ready():
            raise errors.StateConflict("the VM has no display now")
        return request, screen

    def _on_report(self, report: window.Report) -> None:
        kind, width, height = report.get("is"), report.get("width"), report.get("height")
        if kind in ("open", "size") and isinstance(width, int) and isinstance(height, int):
            self._size = (width, height)
        if kind == "open":
            self._opened += 1
            width, height = self._size
            self._notify(notifications.Display(open=True, width=width, height=height))

    def _on_end(self, reason: str, *, was_open: bool) -> None:
        self._window = None
        logger.info("the window has ended: %s", reason)
        if was_open:
            self._notify(notifications.Display(open=False, reason=reason))


async def _connect(screen: Screen) -> socket.socket:
    """Return a viewer's end of the display."""
    ours, theirs = socket.socketpair()
    try:
        with theirs:
            await screen.view(theirs)
    except BaseException:
        ours.close()
        raise
    return ours


def _png_size(picture: bytes) -> tuple[int, int]:
    """Read width and height from the header.

    Raises:
        errors.HypervisorFailed: this is not a PNG.
    """
    head = picture[: _PNG.size]
    if len(head) == _PNG.size:
        magic, chunk, width, height = _PNG.unpack(head)
        if magic == b"\x89PNG\r\n\x1a\n" and chunk == b"IHDR":
            return int(width), int(height)
    raise errors.HypervisorFailed("the hypervisor wrote no PNG")
