"""The warm process that forks drivers: started in the background, replaced when it dies.

A zygote's death does not affect drivers. The top of ``gaovm.driver.spawn.zygote`` has the contract
of the messages; beyond that the two share only ``--fd N``.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from gaovm import errors
from gaovm.aio import logs, process, steps
from gaovm.daemon.drivers.forks import Forked
from gaovm.platform import processes, unix_sockets

logger = logging.getLogger(__name__)

ARGV = (sys.executable, "-P", "-m", "gaovm.driver.spawn.zygote")
MAX_MESSAGE = 64 << 10
#: A fork takes 2 ms; a new zygote needs up to a second to be warm.
FORK_LIMIT_S = 20.0
#: Pauses between zygotes that die at once, so that a broken one does not spin.
RETRY_S = (0.0, 0.2, 1.0, 5.0, 15.0)
#: A zygote that was ready can work: after its death the pause grows no further than this index.
WARM_FAILURES = 1
#: If a zygote lived this long, its start was not the reason for its death.
STABLE_S = 30.0


class Message(msgspec.Struct, kw_only=True):
    """Any message of a zygote."""

    op: str
    id: int | None = None
    pid: int = 0
    start_time: int = 0
    status: int = 0
    message: str = ""


class Exits:
    """How the drivers of one zygote ended, as the zygote reports."""

    def __init__(self, known: Mapping[int, int | None] | None = None) -> None:
        self._exits: dict[int, asyncio.Future[int]] = {}
        for pid, status in (known or {}).items():
            self.expect(pid)
            if status is not None:
                self.tell(pid, status)

    def __len__(self) -> int:
        return len(self._exits)

    def expect(self, pid: int) -> None:
        """Note that a driver was forked."""
        self._exits[pid] = asyncio.get_running_loop().create_future()

    def tell(self, pid: int, status: int) -> None:
        """Note how a driver ended, as the zygote reports."""
        exited = self._exits.get(pid)
        if exited is not None and not exited.done():
            exited.set_result(status)

    def forget(self) -> None:
        """Note that the zygote is gone: nobody reports the ends of its drivers any more."""
        self._exits.clear()

    def known(self) -> dict[int, int | None]:
        """The drivers whose end nobody has taken yet, with the status; None: the driver runs."""
        return {
            pid: exited.result() if exited.done() else None for pid, exited in self._exits.items()
        }

    async def gone(self, forked: Forked) -> int | None:
        """Wait until a driver ends; return its status, minus the signal, None if unknown.

        The kernel tells us and the zygote at the same time, so we wait for no other process.
        """
        exited = self._exits.get(forked.pid)
        if exited is None or not exited.done():
            await _wait_process(forked)
        status = processes.exit_status(forked.pid, forked.start_time)
        if status is None and exited is not None:
            # The zygote took the status before us, and its message is on its way.
            await asyncio.wait([exited], timeout=0.5)
            status = exited.result() if exited.done() else None
        self._exits.pop(forked.pid, None)
        return status


def receive(sock: socket.socket) -> Message | None:
    """Return a zygote's next message; None at the end.

    Raises:
        BlockingIOError: there is none yet.
        errors.InvalidReply: the message makes no sense.
    """
    try:
        data, fds = unix_sockets.receive(sock, MAX_MESSAGE, 1)
    except errors.GaoError as exc:
        logger.debug("zygote: %s", exc)
        return None
    for fd in fds:
        os.close(fd)
    if not data:
        return None
    try:
        return msgspec.json.decode(data, type=Message)
    except msgspec.MsgspecError as exc:
        raise errors.InvalidReply(f"zygote: bad message: {exc}") from exc


class Zygote:
    """Keeps one zygote process alive and forks drivers from it."""

    def __init__(self, log: Path, argv: Sequence[str] = ARGV) -> None:
        self._log = log
        self._argv = argv
        self._ids = itertools.count(1)
        self._sock: socket.socket | None = None
        self._pid: int | None = None
        self._warm = asyncio.Event()
        self._was_warm = False
        self._forks: dict[int, asyncio.Future[Forked]] = {}
        self.exits = Exits()

    @property
    def pid(self) -> int | None:
        """The zygote's pid; None between two zygotes."""
        return self._pid

    def fileno(self) -> int:
        """The descriptor of its socket; -1 between two zygotes."""
        return -1 if self._sock is None else self._sock.fileno()

    async def run(self) -> None:
        """Keep a zygote alive until cancelled; cancelling ends it, but not its drivers."""
        failures = 0
        loop = asyncio.get_running_loop()
        while True:
            started, self._was_warm = loop.time(), False
            try:
                await self._live()
            except errors.GaoError as exc:
                logger.error("zygote: %s", exc)
            failures = 0 if loop.time() - started > STABLE_S else failures + 1
            if self._was_warm:
                failures = min(failures, WARM_FAILURES)
            await asyncio.sleep(RETRY_S[min(failures, len(RETRY_S) - 1)])

    async def _live(self) -> None:
        log = logs.RotatingFile(self._log)
        if log.full(1):
            log.rotate()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        loop = asyncio.get_running_loop()
        ended = loop.create_future()
        try:
            async with process.spawn(
                [*self._argv, "--fd", str(theirs.fileno())],
                stdout=log.fd,
                stderr=log.fd,
                pass_fds=(theirs.fileno(),),
            ) as child:
                theirs.close()
                self._sock, self._pid = ours, child.pid
                loop.add_reader(ours, self._read, ours, ended)
                logger.info("zygote %d started", child.pid)
                try:
                    await ended
                finally:
                    loop.remove_reader(ours)
                    self._lost()
                    # End of file tells a zygote to leave; TERM follows.
                    ours.close()
            logger.warning("zygote %d ended with status %s", child.pid, child.returncode)
        finally:
            log.close()
            theirs.close()
            ours.close()

    def _lost(self) -> None:
        self._sock, self._pid = None, None
        self._warm.clear()
        for future in self._forks.values():
            if not future.done():
                lost = errors.DriverStartFailed("the zygote died")
                lost.retriable = True  # by the next zygote, with another connection
                future.set_exception(lost)
        self._forks.clear()
        self.exits.forget()  # its drivers live on

    def _read(self, sock: socket.socket, ended: asyncio.Future[None]) -> None:
        try:
            message = receive(sock)
        except BlockingIOError:
            return
        except errors.InvalidReply as exc:
            logger.error("%s", exc)
            return
        if message is not None:
            self._take(message)
        elif not ended.done():
            ended.set_result(None)

    def _take(self, message: Message) -> None:
        if message.op == "ready":
            self._warm.set()
            self._was_warm = True
        elif message.op == "exited":
            self.exits.tell(message.pid, message.status)
        else:
            future = self._forks.pop(message.id or 0, None)
            if future is None or future.done():
                return
            if message.op == "forked":
                self.exits.expect(message.pid)
                future.set_result(Forked(pid=message.pid, start_time=message.start_time))
            else:
                future.set_exception(errors.DriverStartFailed(f"zygote: {message.message}"))

    @steps.step
    async def fork(self, vm: str, token: str, log: Path, control: socket.socket) -> Forked:
        """Fork a driver that holds ``control``.

        Raises:
            errors.DriverStartFailed: there is no zygote, or it could not fork. ``retriable``: it
                died meanwhile, but may have forked a driver, which then holds ``control``.
        """
        try:
            async with asyncio.timeout(FORK_LIMIT_S):
                return await self._fork(vm, token, log, control)
        except TimeoutError as exc:
            raise errors.DriverStartFailed(
                f"no driver could be forked in {FORK_LIMIT_S:.0f} s", remedy=f"see {self._log}"
            ) from exc

    async def _fork(self, vm: str, token: str, log: Path, control: socket.socket) -> Forked:
        while True:
            await self._warm.wait()
            sock = self._sock
            if sock is None:
                continue
            ident = next(self._ids)
            future: asyncio.Future[Forked] = asyncio.get_running_loop().create_future()
            self._forks[ident] = future
            request: dict[str, Any] = {
                "op": "fork",
                "id": ident,
                "token": token,
                "vm": vm,
                "log": str(log),
            }
            try:
                unix_sockets.send(sock, json.dumps(request).encode(), [control.fileno()])
                return await future
            except (errors.ConnectionLost, BlockingIOError) as exc:
                self._warm.clear()
                logger.warning("zygote: %s; waiting for the next one", exc)
            finally:
                self._forks.pop(ident, None)

    async def gone(self, forked: Forked) -> int | None:
        """Wait until a driver ends; see ``Exits.gone``."""
        return await self.exits.gone(forked)


async def _wait_process(forked: Forked) -> None:
    if processes.alive(forked.pid, forked.start_time):
        await process.wait_pid(forked.pid)
