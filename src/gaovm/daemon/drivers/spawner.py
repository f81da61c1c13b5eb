"""Start drivers one by one, where the system has no fork server. Implements ``Forks``.

Each driver is a new interpreter: it takes a tenth of a second and a dozen MiB more than a fork. It
leads a process group, which ends with it: so its hypervisor does not outlive it either.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from pathlib import Path

from gaovm import errors
from gaovm.aio import logs, process, steps
from gaovm.daemon.drivers.forks import Forked
from gaovm.ipc import hello
from gaovm.platform import processes

ARGV = (sys.executable, "-P", "-m", "gaovm.driver")


class Spawner:
    """Starts drivers; they are children of the daemon."""

    pid: int | None = None

    def __init__(self) -> None:
        self._children: dict[int, process.Child] = {}

    async def run(self) -> None:
        """Wait until cancelled: there is nothing to keep ready."""
        await asyncio.Event().wait()

    @steps.step
    async def fork(self, vm: str, token: str, log: Path, control: socket.socket) -> Forked:
        """Start a driver that holds ``control``.

        Raises:
            errors.DriverStartFailed: it cannot be started.
        """
        fd = str(control.fileno())
        words = [*ARGV, "--control-fd", fd, "--log", str(log), "--vm", vm]
        try:
            output = logs.RotatingFile(log)
        except OSError as exc:
            raise errors.DriverStartFailed(f"cannot open {log}: {exc.strerror}") from exc
        try:
            child = await process.launch(
                words,
                env={**os.environ, hello.TOKEN_VARIABLE: token},
                stdout=output.fd,
                stderr=output.fd,
                pass_fds=[control.fileno()],
                new_session=True,
                pdeathsig=None,
            )
        except errors.GaoError as exc:
            raise errors.DriverStartFailed(f"no driver was started: {exc.message}") from exc
        finally:
            output.close()
        self._children[child.pid] = child
        try:
            _, start_time = processes.identity(child.pid)
        except errors.GaoError as exc:
            raise errors.DriverStartFailed(f"the driver of VM {vm} ended at once") from exc
        return Forked(pid=child.pid, start_time=start_time)

    async def gone(self, forked: Forked) -> int | None:
        """Wait until a driver ends; return its status, minus the signal, None if unknown.

        A driver that the code before an upgrade started is still a child of this process.
        """
        child = self._children.get(forked.pid)
        if child is None:
            try:
                child = process.own(forked.pid, group=True)
            except errors.NotFound:
                await process.wait_pid(forked.pid)
                return None
        try:
            return await child.wait()
        finally:
            self._children.pop(forked.pid, None)
