"""The display of the VM: its window, opened and closed at will, and screenshots.

The window is a process of this driver's: it gets a connected socket, is watched, reaped, and killed
with the driver. Whatever becomes of it, the hypervisor is not concerned. Only that process loads
Qt; what the driver needs is this file.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
import struct
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gaovm import errors
from gaovm.aio import files, process, sockets, tasks
from gaovm.driver.hypervisor import Hypervisor
from gaovm.driver.pipes import LastWords
from gaovm.driver.status import Notify
from gaovm.wire.driver import notifications, results
from gaovm.wire.driver.launch import LaunchRequest

logger = logging.getLogger(__name__)
#: An interpreter, Qt, and a first picture; this is for a host that swaps.
OPEN_LIMIT_S = 30.0
GRACE_S = 1.0
ACCEPT_PAUSE_S = 1.0
DRAIN_LIMIT_S = 1.0
#: The variables that say where a desktop is; a caller may set these and no others.
SEAT = frozenset(
    {"DISPLAY", "XAUTHORITY", "WAYLAND_DISPLAY", "XDG_RUNTIME_DIR", "XDG_SESSION_TYPE"}
    | {"XDG_CURRENT_DESKTOP", "QT_QPA_PLATFORM", "QT_SCALE_FACTOR", "XCURSOR_SIZE", "XCURSOR_THEME"}
)
SCREENSHOT = "screenshot.png"
_PNG = struct.Struct(">8s4x4sII")

Report = dict[str, Any]


class Display:
    """The display of one VM; idle until the VM runs and somebody asks."""

    def __init__(self, owner: tasks.TaskOwner, notify: Notify) -> None:
        self._owner, self._notify = owner, notify
        self._request: LaunchRequest | None = None
        self._hypervisor: Hypervisor | None = None
        self._window: _Window | None = None
        self._listener: socket.socket | None = None
        self._serving: asyncio.Task[None] | None = None
        self._opened = 0
        self._size = (0, 0)
        self._turn = asyncio.Lock()

    def attach(self, request: LaunchRequest, hypervisor: Hypervisor) -> None:
        """The VM was started."""
        graphics = request.spec.graphics
        if graphics.enabled:
            self._request, self._hypervisor = request, hypervisor
            self._size = (graphics.width, graphics.height)
            self._listener = sockets.bind_unix(Path(request.vnc_socket))
            self._serving = self._owner.start(self._serve(self._listener), name="viewers")

    async def detach(self) -> None:
        """The VM has ended: close the window, remove the socket. Idempotent."""
        request, self._request, self._hypervisor = self._request, None, None
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
        """Hand every viewer that connects to QEMU, which then speaks to it alone."""
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
                    _, hypervisor = await self._running()
                    await hypervisor.view(viewer)
                except errors.GaoError as exc:
                    logger.warning("a viewer was not taken: %s", exc)

    def describe(self) -> results.Display:
        """The answer to ``display.status``; the size is the guest's, as last seen."""
        window = self._window
        return results.Display(
            enabled=self._request is not None,
            open=window is not None,
            width=self._size[0],
            height=self._size[1],
            opened_count=self._opened,
            window_pid=None if window is None else window.pid,
        )

    async def open(self, seat: Mapping[str, str]) -> results.Display:
        """Open the window on a desktop and wait until it shows; an open one comes to the front.

        Raises:
            errors.StateConflict: the VM has no display, or does not run.
            errors.ProgramMissing: PySide6 is not installed.
            errors.HostError: the desktop cannot be reached, or did not show it within 30 s.
        """
        environment = _environment(seat)
        async with self._turn:
            request, hypervisor = await self._running()
            if self._window is not None:
                self._window.to_front()
                return self.describe()
            vnc = await _connect(hypervisor)
            window = self._window = _Window(vnc, self._on_report, self._on_end)
            window.task = self._owner.start(
                window.run(request.spec.name, environment), name="window", finishable=True
            )
            await window.wait_shown()
            return self.describe()

    async def close(self) -> results.Display:
        """Close the window, if there is one."""
        async with self._turn:
            if self._window is not None:
                await self._window.close("asked")
            return self.describe()

    async def screenshot(self) -> results.Screenshot:
        """Write what the display shows to ``screenshot.png`` in the VM's directory, whole or not.

        Raises:
            errors.StateConflict: the VM has no display, or does not run.
            errors.HypervisorFailed: QEMU did not write it.
        """
        async with self._turn:
            request, hypervisor = await self._running()
            path = Path(request.vm_dir, SCREENSHOT)
            picture = await hypervisor.screendump()
            self._size = _png_size(picture)
            files.write_atomic(path, picture)
        width, height = self._size
        return results.Screenshot(
            path=str(path), width=width, height=height, size_bytes=len(picture)
        )

    async def _running(self) -> tuple[LaunchRequest, Hypervisor]:
        request, hypervisor = self._request, self._hypervisor
        if request is None or hypervisor is None or not await hypervisor.ready():
            raise errors.StateConflict("the VM has no display now")
        return request, hypervisor

    def _on_report(self, report: Report) -> None:
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


class _Window:
    """One window: its process, from start to end. ``on_end`` is called once, when it is reaped.

    ``vnc`` is a connected socket, owned from now on.
    """

    def __init__(
        self,
        vnc: socket.socket,
        on_report: Callable[[Report], None],
        on_end: Callable[..., None],
    ) -> None:
        self._vnc, self._on_report, self._on_end = vnc, on_report, on_end
        self._shown: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._child: process.Child | None = None
        self._reason = "crashed"
        self._finished = False
        self._failure: errors.GaoError | None = None
        self.task: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """The process id, once there is one."""
        return None if self._child is None else self._child.pid

    async def wait_shown(self) -> None:
        """Return when the window shows the guest's picture.

        Raises:
            errors.GaoError: it never will; it was ended.
        """
        try:
            async with asyncio.timeout(OPEN_LIMIT_S):
                await asyncio.shield(self._shown)
        except TimeoutError as exc:
            await self.close("asked")
            raise errors.HostError(
                f"the window did not show within {OPEN_LIMIT_S:g} s",
                actions=(errors.Action("show_driver_log"),),
            ) from exc

    def to_front(self) -> None:
        """Ask the desktop to bring it to the front."""
        if self._child is not None and self._child.stdin is not None:
            self._child.stdin.write(b"raise\n")

    async def close(self, reason: str) -> None:
        """End the process and wait for its end."""
        self._reason = reason
        if self.task is not None:
            await tasks.cancel_and_wait(self.task)
        self._finish()  # a task that never ran has not

    async def run(self, title: str, environment: dict[str, str]) -> None:
        """The life of the process."""
        words, vnc = LastWords("window"), self._vnc
        ours, theirs = socket.socketpair()
        try:
            await words.attach(ours)
            argv = [sys.executable, "-P", "-m", "gaovm.display", "--vnc-fd", str(vnc.fileno())]
            async with process.spawn(
                [*argv, "--title", title],
                env=environment,
                stdin=process.PIPE,
                stdout=process.PIPE,
                stderr=theirs.fileno(),
                pass_fds=[vnc.fileno()],
                grace_s=GRACE_S,
            ) as child:
                vnc.close()
                theirs.close()
                await self._listen(child, words)
        except errors.GaoError as exc:
            self._failure = exc
        finally:
            theirs.close()
            words.close()
            self._finish()

    async def _listen(self, child: process.Child, words: LastWords) -> None:
        self._child = child
        while child.stdout is not None:
            try:
                line = await child.stdout.readline()
            except ValueError:  # longer than any report
                break
            if not line:
                break
            self._take(line)
        code = await child.wait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_LIMIT_S):
                await words.ended
        if self._failure is None and self._reason == "crashed":
            how = f"signal {-code}" if code < 0 else f"status {code}"
            # one that never showed says first what it lacks, then much that follows from it
            said = words.tail.lines(20)
            tail = "; ".join(said[-3:] if self._shown.done() else said[:2])
            self._failure = errors.HostError(
                f"the window ended with {how}" + (f": {tail}" if tail else ""),
                remedy="is that desktop there, and may this user draw on it (DISPLAY, XAUTHORITY)? "
                "The driver's log has all that the window said",
                actions=(errors.Action("show_driver_log"),),
            )

    def _take(self, line: bytes) -> None:
        try:
            report = json.loads(line)
        except ValueError:
            report = None
        if not isinstance(report, dict):
            logger.warning("the window says %r", line[:200])
            return
        kind = report.get("is")
        if kind == "failed":
            self._failure = errors.from_wire({"message": report.get("message"), "data": report})
        elif kind in ("closed", "ended"):
            self._reason = "user" if kind == "closed" else "vm"
        self._on_report(report)
        if kind == "open" and not self._shown.done():
            self._shown.set_result(None)

    def _finish(self) -> None:
        if self._finished:
            return
        self._finished = True
        self._vnc.close()
        was_open = self._shown.done()
        if not was_open:
            error = self._failure or errors.HostError("the window was closed before it showed")
            self._shown.set_exception(error)
            self._shown.exception()  # nobody may be waiting any more
        self._on_end(self._reason, was_open=was_open)


async def _connect(hypervisor: Hypervisor) -> socket.socket:
    """A viewer's end of the display."""
    ours, theirs = socket.socketpair()
    try:
        with theirs:
            await hypervisor.view(theirs)
    except BaseException:
        ours.close()
        raise
    return ours


def _environment(seat: Mapping[str, str]) -> dict[str, str]:
    """The environment of the window: ours, on the caller's desktop instead of our own.

    Raises:
        errors.InvalidParams: the seat has another variable than those of a desktop.
    """
    if not seat:
        return dict(os.environ)
    for name, value in seat.items():
        if name not in SEAT or "\0" in value:
            raise errors.InvalidParams(f"display.open: seat.{name[:60]} is not taken", field="seat")
    return {**{k: v for k, v in os.environ.items() if k not in SEAT}, **seat}


def _png_size(picture: bytes) -> tuple[int, int]:
    """Width and height in the header.

    Raises:
        errors.HypervisorFailed: it is no PNG.
    """
    head = picture[: _PNG.size]
    if len(head) == _PNG.size:
        magic, chunk, width, height = _PNG.unpack(head)
        if magic == b"\x89PNG\r\n\x1a\n" and chunk == b"IHDR":
            return int(width), int(height)
    raise errors.HypervisorFailed("QEMU wrote no PNG", remedy="QEMU 7.1 or later is needed")
