"""The virtiofsd processes of a VM, one for each virtiofs share. 9p shares need none."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from pathlib import Path

from gaovm import errors
from gaovm.aio import process, tasks
from gaovm.builder.facts import VirtiofsdFact
from gaovm.builder.qemu.document import Document, ShareDevice
from gaovm.driver.pipes import LastWords
from gaovm.vmmanager.qemu import shares

QEMU_END_GRACE_S = 1.0
OnEnd = Callable[[errors.GaoError], None]


class Shares:
    """Starts and stops them; ``on_end`` is told when one ends although nobody asked."""

    def __init__(self, owner: tasks.TaskOwner, on_end: OnEnd) -> None:
        self._owner = owner
        self._on_end = on_end
        self._children = contextlib.AsyncExitStack()
        self._closing = False

    async def start(
        self, document: Document, program: VirtiofsdFact | None, run_dir: Path
    ) -> dict[str, socket.socket]:
        """Start all; returns QEMU's ends by descriptor name, connected already.

        Raises:
            errors.ProgramMissing: virtiofsd cannot be executed.
        """
        ends: dict[str, socket.socket] = {}
        for share in document.shares:
            if share.fd is not None and program is not None:
                ends[share.fd] = await self._start_one(share, program, run_dir / share.fd)
        return ends

    async def _start_one(
        self, share: ShareDevice, program: VirtiofsdFact, path: Path
    ) -> socket.socket:
        listener, connected = shares.make_sockets(path)
        ours, theirs = socket.socketpair()
        try:
            child = await self._children.enter_async_context(
                shares.run(program, share, listener, output=theirs.fileno())
            )
        except BaseException:
            connected.close()
            ours.close()
            raise
        finally:
            listener.close()
            theirs.close()
        words = LastWords("virtiofsd")
        await words.attach(ours)
        self._owner.start(
            self._watch(child, share, words), name=f"virtiofsd {share.tag}", finishable=True
        )
        return connected

    async def _watch(self, child: process.Child, share: ShareDevice, words: LastWords) -> None:
        status = await child.wait()
        words.close()
        # When QEMU ends its virtiofsd follows at once, and may be seen first.
        await asyncio.sleep(QEMU_END_GRACE_S)
        if not self._closing:
            last = "; ".join(words.tail.lines(3)) or "no message"
            self._on_end(
                errors.HypervisorFailed(
                    f"the virtiofsd of {share.location} ended with status {status}: {last}",
                    remedy="`gaovm stop` and `gaovm up`; mountType: 9p needs no virtiofsd",
                )
            )

    async def close(self) -> None:
        """End and reap all. Idempotent."""
        self._closing = True
        await self._children.aclose()
