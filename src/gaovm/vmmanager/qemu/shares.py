"""The virtiofsd processes of a VM, one for each virtiofs share. 9p shares need none."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Mapping
from pathlib import Path

from gaovm import errors
from gaovm.aio import process, steps, tasks
from gaovm.builder.document import ShareDevice
from gaovm.builder.qemu.document import Document
from gaovm.builder.qemu.memory import FD as MEMORY
from gaovm.model.facts import VirtiofsdFact
from gaovm.platform import huge_pages
from gaovm.platform.confine import place
from gaovm.vmmanager.pipes import LastWords
from gaovm.vmmanager.qemu import lifetime, virtiofsd

QEMU_END_GRACE_S = 1.0
DRAIN_LIMIT_S = 1.0
OnEnd = Callable[[errors.GaoError], None]


class Shares:
    """Starts and stops the servers; calls ``on_end`` if one ends without a request."""

    def __init__(self, owner: tasks.TaskOwner, on_end: OnEnd) -> None:
        self._owner = owner
        self._on_end = on_end
        self._children = contextlib.AsyncExitStack()
        self._closing = False
        #: Why the first server failed; we may see QEMU's end before the server's.
        self.failure: errors.GaoError | None = None
        self._seen: list[asyncio.Future[None]] = []
        self._bound: list[tuple[ShareDevice, socket.socket]] = []

    @steps.step
    def prepare(self, document: Document, run_dir: Path) -> dict[str, lifetime.Descriptor]:
        """Bind each share's socket; return what QEMU inherits, by descriptor name.

        QEMU's ends are connected already, so QEMU and virtiofsd need not wait for each other. If
        the document wants shared memory, the result includes the file that both map.

        Raises:
            errors.HostError: a socket or that file cannot be made.
        """
        ends: dict[str, lifetime.Descriptor] = {}
        if document.memory_file_bytes is not None:
            fd = huge_pages.create(document.memory_file_bytes)
            ends[MEMORY] = os.fdopen(fd, "r+b", buffering=0)
        for share in document.shares:
            if share.fd is not None:
                listener, ends[share.fd] = virtiofsd.make_sockets(run_dir / share.fd)
                self._bound.append((share, listener))
        self._closing = False
        return ends

    @steps.step
    async def start(self, program: VirtiofsdFact | None, cages: Mapping[str, place.Place]) -> None:
        """Start what ``prepare`` made; ``cages`` are by the share's descriptor name.

        Raises:
            errors.ProgramMissing: virtiofsd cannot be executed.
            errors.HostError: a cage cannot be made.
        """
        while self._bound:
            share, listener = self._bound.pop()
            with listener:
                if program is not None:
                    await self._start_one(share, program, listener, cages.get(share.fd or ""))

    async def _start_one(
        self,
        share: ShareDevice,
        program: VirtiofsdFact,
        listener: socket.socket,
        into: place.Place | None,
    ) -> None:
        ours, theirs = socket.socketpair()
        try:
            child = await self._children.enter_async_context(
                virtiofsd.run(program, share, listener, output=theirs.fileno(), into=into)
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        words = LastWords("virtiofsd")
        await words.attach(ours)
        seen: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._seen.append(seen)
        self._owner.start(
            self._watch(child, share, words, seen), name=f"virtiofsd {share.tag}", finishable=True
        )

    async def settle(self) -> None:
        """Wait a moment to learn whether QEMU ended with an error because a server was gone."""
        if self._seen:
            await asyncio.wait(self._seen, timeout=QEMU_END_GRACE_S)

    async def _watch(
        self,
        child: process.Child,
        share: ShareDevice,
        words: LastWords,
        seen: asyncio.Future[None],
    ) -> None:
        status = await child.wait()
        await asyncio.wait([words.ended], timeout=DRAIN_LIMIT_S)
        words.close()
        last = "; ".join(words.tail.lines(3)) or "no message"
        error = errors.HypervisorFailed(
            f"the virtiofsd of {share.location} {process.ended(status)}: {last}",
            remedy="see the driver's log; mountType: 9p needs no virtiofsd",
            actions=(errors.Action("show_driver_log"),),
        )
        if status != 0 and not self._closing:
            self.failure = self.failure or error
        seen.set_result(None)
        # virtiofsd ends as soon as QEMU does, and we may see its end first.
        await asyncio.sleep(QEMU_END_GRACE_S)
        if not self._closing:
            self._on_end(error)

    @steps.step
    async def close(self) -> None:
        """End and reap all servers. Idempotent."""
        self._closing = True
        for _, listener in self._bound:
            listener.close()
        self._bound.clear()
        await self._children.aclose()
