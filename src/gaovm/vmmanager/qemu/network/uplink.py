"""Keep passt running, which carries the guest's network; slirp needs nothing here.

When passt ends, another one starts after a pause that grows each time. QEMU's socket waits
meanwhile, and the guest sees its cable unplugged and plugged in again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator
from pathlib import Path

from gaovm import errors
from gaovm.aio import keeping, process, sockets, steps, tasks
from gaovm.builder.qemu.document import Document
from gaovm.builder.qemu.network import FD
from gaovm.vmmanager import events
from gaovm.vmmanager.pipes import LastWords
from gaovm.vmmanager.qemu import lifetime
from gaovm.vmmanager.qemu.network import passt

logger = logging.getLogger(__name__)
# passt ends as soon as QEMU does, and we may see passt's end first.
QEMU_END_GRACE_S = 1.0
#: Seconds to wait before each further start; the last one is repeated.
PAUSES_S = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
#: A passt that has run this long works: a broken one ends within milliseconds.
SETTLED_S = 1.0
PASST = "passt"


def socket_of(run_dir: Path) -> Path:
    """Return the path where QEMU listens for passt."""
    return run_dir / "net.sock"


class Network:
    """Keeps one passt running; reports its loss to ``on_event`` once, and later its return."""

    def __init__(self, owner: tasks.TaskOwner, on_event: events.OnEvent) -> None:
        self._owner = owner
        self._on_event = on_event
        self._path: Path | None = None
        self._task: asyncio.Task[None] | None = None
        #: Starts passt after this process has dropped the rights to do so.
        self.keeper: keeping.Keeper | None = None
        #: Why the guest has no network now.
        self.problem: errors.GaoError | None = None

    @steps.step
    def prepare(self, document: Document, run_dir: Path) -> dict[str, lifetime.Descriptor]:
        """Bind QEMU's socket; return what QEMU inherits, by descriptor name.

        Raises:
            errors.HostError: the socket cannot be made.
        """
        if FD not in document.fds:
            return {}
        self._path = socket_of(run_dir)
        return {FD: sockets.bind_unix(self._path)}

    @steps.step
    def start(self, program: str | None, *, host_access: bool) -> None:
        """Start passt in the background, for the socket that ``prepare`` made."""
        if self._path is not None and program is not None:
            work = self._keep(self._path, program, host_access)
            self._task = self._owner.start(work, name="passt", finishable=True)

    async def _keep(self, path: Path, program: str, host_access: bool) -> None:
        failures = 0
        while True:
            began = asyncio.get_running_loop().time()
            try:
                error = await self._run(path, program, host_access)
            except (errors.GaoError, OSError) as exc:
                error = errors.NetworkLost(f"passt could not be started: {exc}")
            await asyncio.sleep(QEMU_END_GRACE_S)
            lasted_s = asyncio.get_running_loop().time() - began
            failures = 0 if lasted_s > PAUSES_S[-1] else failures + 1
            self._lost(error)
            await asyncio.sleep(PAUSES_S[min(max(failures - 1, 0), len(PAUSES_S) - 1)])

    async def _run(self, path: Path, program: str, host_access: bool) -> errors.GaoError:
        """Run passt once; return why it ended."""
        words = LastWords("passt")
        ours, theirs = socket.socketpair()
        await words.attach(ours)
        try:
            with theirs:
                async with self._starting(path, program, theirs.fileno(), host_access) as child:
                    theirs.close()
                    status = await self._watch(child)
        finally:
            words.close()
        last = "; ".join(words.tail.lines(3)) or "no message"
        return errors.NetworkLost(
            f"the VM has no network: passt {process.ended(status)}: {last}",
            remedy="GaoVM starts passt again; the driver's log says more",
            actions=(errors.Action("show_driver_log"),),
        )

    @contextlib.asynccontextmanager
    async def _starting(
        self, path: Path, program: str, output: int, host_access: bool
    ) -> AsyncIterator[process.Child]:
        """Start passt with a connection to QEMU, which the kernel accepts at once."""
        if self.keeper is not None:
            grace_s = passt.GRACE_S
            async with self.keeper.start(PASST, (), output=output, grace_s=grace_s) as child:
                yield child
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.connect(str(path))
            async with passt.run(
                program, connection, host_access=host_access, output=output
            ) as child:
                connection.close()
                yield child

    async def _watch(self, child: process.Child) -> int:
        if self.problem is not None:
            try:
                async with asyncio.timeout(SETTLED_S):
                    return await child.wait()
            except TimeoutError:
                self.problem = None
                logger.info("passt runs again")
                self._on_event(events.NetworkBack())
        return await child.wait()

    def _lost(self, error: errors.GaoError) -> None:
        logger.warning("%s", error)
        first, self.problem = self.problem is None, error
        if first:
            self._on_event(events.NetworkLost(error))

    @steps.step
    async def close(self) -> None:
        """End and reap passt. Idempotent."""
        task, self._task = self._task, None
        if task is not None:
            await tasks.cancel_and_wait(task)
        if self._path is not None:
            self._path.unlink(missing_ok=True)
            self._path = None
        self.problem = None
