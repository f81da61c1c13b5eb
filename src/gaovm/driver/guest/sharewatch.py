"""Watch the shared directories on the host, and tell the guest's watchers what changes there.

A guest's kernel does not see what the host does in a share, so a development server in the guest
would not reload. The driver gathers changes for a moment, so that a burst is few calls, and only
one call is under way at a time: a guest that answers slowly is told later, and of each path once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable

from gaovm import errors
from gaovm.aio import tasks
from gaovm.builder.document import ShareDevice
from gaovm.driver.status import Status
from gaovm.guestmanager import changes as agent
from gaovm.guestmanager.transport.connection import Connection
from gaovm.platform import trees
from gaovm.platform.changes import Kind
from gaovm.wire.agent.changes import HOLD, Change

logger = logging.getLogger(__name__)
#: Directories watched for one VM; each costs the kernel about 1 KiB and the driver 200 bytes.
MAX_WATCHES = 8192
#: Changes of a burst are gathered this long.
GATHER_S = 0.015
#: Directories of a share by 9p that the agent holds open.
MAX_HELD = 2048
#: The pause after a call that the guest has not answered.
RETRY_S = 1.0
#: Changes that wait for a guest that does not answer. Past this only their directories are told.
MAX_WAITING = 4096
#: A call's body may have 1 MiB; a path, as JSON, has up to 24 KiB.
_MAX_CALL_BYTES = 256 << 10
_WALK_STEP = 32


class _Share:
    """One share: what changes in it, until the guest has been told."""

    def __init__(self, device: ShareDevice, tree: trees.Tree) -> None:
        self.device, self.tree = device, tree
        self.waiting: dict[str, Kind] = {}
        self.reported = self.held = 0
        self.refused = False

    def take(self) -> None:
        """Take from the kernel what has changed."""
        taken = self.tree.take()
        for change in taken.changes:
            self._keep(change.path, change.kind)
            if change.kind is Kind.GONE:
                self.held = -1  # perhaps a directory, and another one has its place
        if taken.lost:
            self.lose()

    def lose(self) -> None:
        """Note that changes are unknown: every watched directory stands for what is in it."""
        self.waiting = dict.fromkeys(self.tree.directories()[:MAX_WAITING], Kind.CHANGED)

    def next_call(self) -> list[Change]:
        """Take what one call can tell."""
        chosen: list[Change] = []
        size = 0
        for path, kind in self.waiting.items():
            size += 6 * len(path) + 64
            if len(chosen) == agent.MAX_CHANGES or (chosen and size > _MAX_CALL_BYTES):
                break
            chosen.append(Change(path=path, kind=kind.value))
        for change in chosen:
            del self.waiting[change.path]
        return chosen

    def put_back(self, batch: Iterable[Change]) -> None:
        """Keep what could not be told."""
        self.waiting = {**{each.path: Kind(each.kind) for each in batch}, **self.waiting}

    def _keep(self, path: str, kind: Kind) -> None:
        if len(self.waiting) >= MAX_WAITING and path not in self.waiting:
            path, kind = path.rpartition("/")[0], Kind.CHANGED
            if len(self.waiting) >= 2 * MAX_WAITING:
                return
        if kind is Kind.CHANGED and self.waiting.get(path) is Kind.MADE:
            return
        self.waiting[path] = kind


class ShareWatch:
    """The shares of one VM whose changes its guest is told, over all connections of its agent."""

    def __init__(
        self, shares: Iterable[ShareDevice], status: Status, owner: tasks.TaskOwner
    ) -> None:
        self._devices = [share for share in shares if share.inotify]
        self._status, self._owner = status, owner
        self._shares: list[_Share] = []
        self._changed = asyncio.Event()
        #: Set once every directory that there was is watched.
        self.watching = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Begin to watch. A directory that cannot be watched is reported; the VM runs on."""
        for device in self._devices:
            try:
                tree = trees.below(device.location, MAX_WATCHES // len(self._devices))
            except errors.HostError as exc:
                self._warn(exc.message)
                continue
            share = _Share(device, tree)
            self._shares.append(share)
            asyncio.get_running_loop().add_reader(tree.fileno(), self._changed.set)

    def begin(self, connection: Connection) -> None:
        """Tell what changes from now on. What changed while nobody could be told comes first."""
        if self._shares:
            self.end()
            self._changed.set()
            for share in self._shares:
                share.held = 0
            work = self._run(connection)
            self._task = self._owner.start(work, name="share watch", finishable=True)

    def end(self) -> None:
        """Stop telling, as the connection is lost. Idempotent."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def close(self) -> None:
        """Stop watching. Idempotent."""
        self.end()
        for share in self._shares:
            if share.tree.fileno() >= 0:
                asyncio.get_running_loop().remove_reader(share.tree.fileno())
            share.tree.close()
        self._shares.clear()

    async def _run(self, connection: Connection) -> None:
        try:
            while True:
                await self._walk()
                for share in self._shares:
                    await self._hold(connection, share)
                self.watching.set()
                await self._wait()
                await asyncio.sleep(GATHER_S)
                self._changed.clear()
                for share in self._shares:
                    share.take()
                    try:
                        await self._tell(connection, share)
                    except errors.GuestUnavailable:
                        # A paused guest, say, answers later. If the agent is gone, ``end`` follows.
                        await asyncio.sleep(RETRY_S)
                        self._changed.set()
        except errors.GaoError as exc:
            self._warn(exc.message)

    async def _wait(self) -> None:
        """Wait for a change, or until a file that is being written is told anyway."""
        limits = [share.tree.waits_s for share in self._shares]
        limit_s = min((each for each in limits if each is not None), default=None)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await self._changed.wait()

    async def _walk(self) -> None:
        """Watch what is not watched yet, a little at a time: the driver has other work."""
        for share in self._shares:
            more = True
            while more:
                more = share.tree.walk(_WALK_STEP)
                await asyncio.sleep(0)
            share.take()
            if share.waiting:
                self._changed.set()
            if share.tree.unwatched > share.reported:
                self._warn(
                    f"{share.tree.unwatched} directories below {share.device.location} are not "
                    f"watched: {share.tree.watched} are, and more are not possible or permitted"
                )
                share.reported = share.tree.unwatched * 2

    async def _hold(self, connection: Connection, share: _Share) -> None:
        """Let the agent look at a share before the first change, and hold directories of 9p.

        Linux's 9p client forgets a directory that nobody has open, and makes another one at the
        next look. A watch of the first would never see anything, not even the guest's own changes.
        """
        if share.tree.watched == share.held or (share.held and share.device.type != "9p"):
            return
        share.held = share.tree.watched
        names = share.tree.directories()[:MAX_HELD] if share.device.type == "9p" else ("",)
        for at in range(0, len(names), agent.MAX_CHANGES):
            part = [Change(path=n, kind=HOLD) for n in names[at : at + agent.MAX_CHANGES] if n]
            with contextlib.suppress(errors.GaoError):
                await agent.tell(connection, share.device.mount_point, part)

    async def _tell(self, connection: Connection, share: _Share) -> None:
        while batch := share.next_call():
            try:
                told = await agent.tell(connection, share.device.mount_point, batch)
            except errors.GuestCallFailed as exc:
                if not share.refused:
                    self._warn(f"{share.device.mount_point}: {exc.message}")
                share.refused = True
                continue
            except errors.GuestUnavailable:
                share.put_back(batch)
                raise
            if told.failed:
                logger.info(
                    "%d of %d changes below %s could not be told: %s",
                    *(told.failed, len(batch), share.device.location, told.error[:200]),
                )

    def _warn(self, message: str) -> None:
        logger.warning("mountInotify: %s", message)
        self._status.health("shares_unwatched", message)
