"""The window's process: its start, the moment it shows, its end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
import sys
from collections.abc import Callable, Mapping
from typing import Any

from gaovm import errors
from gaovm.aio import process, tasks
from gaovm.vmmanager.pipes import LastWords

logger = logging.getLogger(__name__)
#: Time to load an interpreter, Qt and a first picture, on a host that swaps.
OPEN_LIMIT_S = 30.0
GRACE_S = 1.0
DRAIN_LIMIT_S = 1.0
#: The variables that say where a desktop is; a caller may set these and no others.
SEAT = frozenset(
    {"DISPLAY", "XAUTHORITY", "WAYLAND_DISPLAY", "XDG_RUNTIME_DIR", "XDG_SESSION_TYPE"}
    | {"XDG_CURRENT_DESKTOP", "QT_QPA_PLATFORM", "QT_SCALE_FACTOR", "XCURSOR_SIZE", "XCURSOR_THEME"}
)

Report = dict[str, Any]


class Window:
    """One window: its process, from start to end. Calls ``on_end`` once, when it is reaped.

    The window owns ``vnc``, a connected socket, from now on.
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
        """The process id, once the process exists."""
        return None if self._child is None else self._child.pid

    async def wait_shown(self) -> None:
        """Return when the window shows the guest's picture.

        Raises:
            errors.GaoError: it never will; the process was ended.
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
        self._finish()  # if the task never ran, it has not done this

    async def run(self, title: str, environment: dict[str, str]) -> None:
        """Run the process from start to end."""
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
            except ValueError:  # the line is longer than any report
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
            # a window that never showed first says what it lacks, then much that follows from it
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
        elif kind in ("closed", "ended") and self._reason == "crashed":  # the first one counts
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
            self._shown.exception()  # mark as retrieved: nobody may be waiting any more
        self._on_end(self._reason, was_open=was_open)


def environment(seat: Mapping[str, str]) -> dict[str, str]:
    """Return the window's environment: ours, but with the caller's desktop.

    Raises:
        errors.InvalidParams: the seat has a variable that does not describe a desktop.
    """
    if not seat:
        return dict(os.environ)
    for name, value in seat.items():
        if name not in SEAT or "\0" in value:
            raise errors.InvalidParams(
                f"display.open: seat.{name[:60]} is not allowed", field="seat"
            )
    return {**{k: v for k, v in os.environ.items() if k not in SEAT}, **seat}
