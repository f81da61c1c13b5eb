"""The QEMU process of a VM, with its monitor and last words: start it, watch it, end it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gaovm import errors
from gaovm.aio import process, steps, tasks
from gaovm.builder.qemu import graphics
from gaovm.builder.qemu.document import Document
from gaovm.platform.confine import place
from gaovm.vmmanager.events import OnEvent
from gaovm.vmmanager.pipes import Channels, LastWords
from gaovm.vmmanager.qemu import events, lifetime, monitor
from gaovm.vmmanager.qemu.picture import Picture

logger = logging.getLogger(__name__)
DRAIN_LIMIT_S = 1.0
_PNG = b"\x89PNG\r\n\x1a\n"
PIPES = ("qmp", "console", "agent")


class Hypervisor:
    """One run of QEMU. ``ended`` is set once QEMU is reaped."""

    def __init__(self, owner: tasks.TaskOwner, on_event: OnEvent) -> None:
        self._owner = owner
        self._on_event = on_event
        self._words = LastWords("qemu")
        self._monitor = monitor.Monitor(self._event)
        self._connecting: asyncio.Task[bool] | None = None
        self._child: process.Child | None = None
        self._stack = contextlib.AsyncExitStack()
        self._picture: Picture | None = None
        self._viewers = 0
        self.argv: tuple[str, ...] = ()
        self.returncode: int | None = None
        #: Whether QEMU reported that the host ended it, for example by a signal, and not the guest.
        self.ended_by_host = False
        self.ended = asyncio.Event()

    @property
    def pid(self) -> int | None:
        """Return the process id while QEMU runs."""
        return None if self._child is None or self.ended.is_set() else self._child.pid

    def channel(self, name: str) -> tuple[socket.socket, socket.socket]:
        """Return our end and QEMU's end of one of ``PIPES``."""
        return socket.socketpair()

    @steps.step
    async def start(
        self,
        document: Document,
        shared: Mapping[str, lifetime.Descriptor],
        cwd: Path,
        into: place.Place | None = None,
    ) -> Channels:
        """Execute QEMU; return our ends of the console and the agent port. Closes ``shared``.

        The monitor is negotiated in the background: the boot never waits for it.

        Raises:
            errors.ProgramMissing: QEMU cannot be executed.
            errors.HostError: a file of the VM cannot be opened, or ``into`` cannot be made.
        """
        pairs = {name: self.channel(name) for name in PIPES}
        words, output = socket.socketpair()
        theirs: dict[str, lifetime.Descriptor] = {name: pair[1] for name, pair in pairs.items()}
        theirs.update(shared)
        try:
            theirs.update(lifetime.open_files(document))
            if graphics.SCREENSHOT in document.fds:
                self._picture = Picture()
                theirs[graphics.SCREENSHOT] = self._picture.for_qemu()
            if into is not None:
                lifetime.give(theirs, into)
            self.argv = lifetime.resolve(document, theirs)
            self._child = await self._stack.enter_async_context(
                lifetime.run(self.argv, theirs, output=output.fileno(), cwd=cwd, into=into)
            )
        except BaseException:
            for pair in pairs.values():
                pair[0].close()
            words.close()
            raise
        finally:
            output.close()
            for each in theirs.values():
                each.close()
        self._connecting = self._owner.start(
            self._connect(pairs["qmp"][0]), name="monitor", finishable=True
        )
        await self._words.attach(words)
        return Channels(console=pairs["console"][0], agent=pairs["agent"][0])

    async def exited(self) -> tuple[int, float]:
        """Return QEMU's status and the time its exit was seen (monotonic), at once when seen."""
        if self._child is None:
            raise errors.StateConflict("QEMU was not started")
        self.returncode = await self._child.wait()
        return self.returncode, self._child.ended_at or 0.0

    @steps.step
    async def drain(self) -> None:
        """Read what QEMU wrote before it exited; then set ``ended``."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_LIMIT_S):
                await self._words.ended
        if self._connecting is not None:
            # Now that QEMU is gone this task ends by itself; to end it here would race with that.
            await asyncio.wait([self._connecting], timeout=DRAIN_LIMIT_S)
        self._monitor.close()
        self._words.close()
        if self._picture is not None:
            self._picture.close()
        await self._stack.aclose()
        self.ended.set()

    def last_words(self) -> str:
        """Return the last lines that QEMU wrote."""
        return "; ".join(self._words.tail.lines(5))

    def kill(self) -> None:
        """Send SIGKILL. Idempotent."""
        if self._child is not None and not self.ended.is_set():
            self._child.send_signal(signal.SIGKILL)

    @steps.step
    async def press_power_button(self) -> bool:
        """Ask for an ACPI power-off; False if the monitor does not take the command."""
        return await self._tell("system_powerdown")

    @steps.step
    async def quit(self) -> bool:
        """Make QEMU flush its disks and end; False if the monitor does not take the command."""
        return await self._tell("quit")

    async def set_reboot(self, *, allowed: bool) -> None:
        """Set what a guest's reset does: end QEMU (a failed boot) or restart the guest."""
        await self._tell("set-action", reboot="reset" if allowed else "shutdown")

    async def pause(self) -> bool:
        """Stop the guest's processors and clocks; False if the monitor does not take it."""
        return await self._tell("stop")

    async def resume(self) -> bool:
        """Let processors and clocks continue; False if the monitor does not take the command."""
        return await self._tell("cont")

    async def ready(self) -> bool:
        """Wait until QEMU takes commands; False if it never will."""
        return self._connecting is not None and await asyncio.shield(self._connecting)

    async def screendump(self) -> bytes:
        """Return the display's picture as PNG. Call ``ready`` first; one call at a time.

        Raises:
            errors.HypervisorFailed: QEMU refused, ended, or wrote another format.
        """
        if self._picture is None:
            raise errors.HypervisorFailed("the VM has no display")
        self._picture.clear()
        await self._monitor.screendump(f"/dev/fdset/{graphics.SCREENSHOT_SET}")
        picture = self._picture.read()
        if not picture.startswith(_PNG):
            raise errors.HypervisorFailed("QEMU wrote no PNG", remedy="QEMU 7.1 or later is needed")
        return picture

    async def view(self, viewer: socket.socket) -> None:
        """Serve the display to a viewer; QEMU gets a copy of the viewer's connected socket.

        Raises:
            errors.HypervisorFailed: QEMU refused or ended.
        """
        self._viewers += 1
        name = f"viewer{self._viewers}"
        await self._monitor.hand_over(name, viewer.fileno())
        await self._monitor.execute("add_client", protocol="vnc", fdname=name, skipauth=True)

    async def set_panic(self, *, pause: bool) -> None:
        """Set whether a kernel panic pauses the guest or ends it.

        Raises:
            errors.HypervisorFailed: QEMU refused it.
        """
        await self._monitor.execute("set-action", panic="pause" if pause else "shutdown")

    async def resize_disk(self, size_bytes: int) -> None:
        """Resize the root disk; QEMU tells the guest's kernel.

        Raises:
            errors.HypervisorFailed: QEMU refused, for example for lack of space.
        """
        await self._monitor.execute("block_resize", **{"node-name": "root", "size": size_bytes})

    async def _tell(self, command: str, **arguments: Any) -> bool:
        if not await self.ready():
            return False
        try:
            await self._monitor.execute(command, **arguments)
        except errors.HypervisorFailed as exc:
            # QEMU may close the connection before the answer to ``quit``.
            logger.debug("monitor: %s", exc)
            return command == "quit"
        return True

    async def _connect(self, sock: socket.socket) -> bool:
        try:
            await self._monitor.connect(sock)
        except errors.HypervisorFailed as exc:
            logger.warning("%s", exc)
            return False
        return True

    def _event(self, name: str, data: Mapping[str, Any]) -> None:
        logger.debug("QMP event %s %s", name, data)
        if name == "SHUTDOWN":
            self.ended_by_host = data.get("guest") is False
        event = events.neutral(name, data)
        if event is not None:
            self._on_event(event)
