"""Mounts by SSHFS: the relay between the guest's sshfs and the server, and what is said of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gaovm import errors
from gaovm.aio import tasks
from gaovm.builder import choices
from gaovm.builder.document import ShareDevice
from gaovm.driver.guest import sshmounts
from gaovm.guestmanager import mounts, processes
from gaovm.wire import streams
from gaovm.wire.agent.mounts import Await, Mounted
from gaovm.wire.agent.processes import Command, Exit

CONNECTION: Any = object()


def device(*, writable: bool = True, kind: str = choices.SSHFS, follow: bool = False) -> Any:
    return ShareDevice(
        tag="lima-1",
        type=kind,
        reason="r",
        location="/on/host",
        mount_point="/in/guest",
        writable=writable,
        follow_symlinks=follow,
    )


class Stream:
    """The stream of the guest's sshfs: what the driver writes, and what sshfs says."""

    def __init__(self) -> None:
        self.written: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue()
        self.chunks: asyncio.Queue[bytes] = asyncio.Queue()

    async def write(self, data: bytes, *, end: bool = False) -> bool:
        kind, length = struct.unpack_from(">BI", data)
        assert len(data) == 5 + length
        self.written.put_nowait((kind, data[5:]))
        return True

    async def read(self) -> bytes:
        return await self.chunks.get()

    def say(self, kind: int, payload: bytes) -> None:
        self.chunks.put_nowait(streams.encode(kind, payload))

    async def __aenter__(self) -> Stream:
        return self

    async def __aexit__(self, *exc: object) -> None:
        pass


class World:
    """A guest with sshfs, and a server whose end is ``server``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.stream = Stream()
        self.server, self._ours = socket.socketpair()
        self._next = self._ours
        self.installed = Exit(status=0)
        self.is_mounted = asyncio.Event()
        self.opened = 0
        monkeypatch.setattr(processes, "open_exec", lambda _: self.stream)
        monkeypatch.setattr(processes, "run", self._run)
        monkeypatch.setattr(mounts, "await_one", self._await)

    async def _run(self, _: Any, command: Command, **options: Any) -> Exit:
        options["on_output"](streams.STDERR, b"no such\npackage")
        return self.installed

    async def _await(self, _: Any, wanted: Await) -> Mounted:
        await self.is_mounted.wait()
        return Mounted(path=wanted.path, ok=True)

    def renew(self) -> None:
        """Make the sockets of the next server."""
        self.server.close()
        self.server, self._next = socket.socketpair()

    @contextlib.asynccontextmanager
    async def open(self, _: ShareDevice) -> AsyncIterator[socket.socket]:
        self.opened += 1
        self._ours.setblocking(False)
        try:
            yield self._ours
        finally:
            self._ours.close()
            self._ours, self._next = self._next, self._ours


@pytest.fixture
async def owner() -> AsyncIterator[tasks.TaskOwner]:
    async with tasks.TaskOwner() as owner:
        yield owner


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Any:
    made = World(monkeypatch)
    yield made
    made.server.close()
    made._ours.close()


def report(_: str, __: str) -> None:
    pass


async def test_bytes_go_both_ways(world: World, owner: tasks.TaskOwner) -> None:
    mounting = sshmounts.SshMounts([device()], owner, world.open)
    world.is_mounted.set()
    await mounting.mount(CONNECTION, "ann", report)
    kind, payload = await world.stream.written.get()
    command = json.loads(payload)
    assert (kind, command["user"]) == (streams.START, "root")
    assert command["argv"][4:7] == ["/in/guest", "ann", "/on/host"]
    world.stream.say(streams.OUTPUT, b"request")
    loop = asyncio.get_running_loop()
    world.server.setblocking(False)
    assert await loop.sock_recv(world.server, 100) == b"request"
    await loop.sock_sendall(world.server, b"answer")
    assert await world.stream.written.get() == (streams.DATA, b"answer")
    mounting.end()


async def test_a_guest_without_sshfs_says_why(world: World, owner: tasks.TaskOwner) -> None:
    world.installed = Exit(status=100)
    mounting = sshmounts.SshMounts([device()], owner, world.open)
    with pytest.raises(errors.GuestCallFailed, match=r"has no sshfs.*no such package") as told:
        await mounting.mount(CONNECTION, "ann", report)
    assert told.value.field == "mountType"
    assert world.opened == 0


async def test_an_sshfs_that_ends_says_why(world: World, owner: tasks.TaskOwner) -> None:
    world.stream.say(streams.STDERR, b"fuse: device not found")
    world.stream.chunks.put_nowait(b"")
    mounting = sshmounts.SshMounts([device()], owner, world.open)
    with pytest.raises(errors.GuestCallFailed, match=r"/in/guest.*fuse: device not found"):
        await mounting.mount(CONNECTION, "ann", report)


async def test_a_lost_mount_is_made_again(
    world: World, owner: tasks.TaskOwner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sshmounts, "PAUSES_S", (0.0,))
    mounting = sshmounts.SshMounts([device()], owner, world.open)
    world.is_mounted.set()
    await mounting.mount(CONNECTION, "ann", report)
    assert (await world.stream.written.get())[0] == streams.START
    world.renew()
    world.stream.chunks.put_nowait(b"")  # sshfs has ended
    assert (await world.stream.written.get())[0] == streams.START
    assert world.opened == 2
    mounting.end()


async def test_other_shares_need_no_sshfs(world: World, owner: tasks.TaskOwner) -> None:
    mounting = sshmounts.SshMounts([device(kind="9p")], owner, world.open)
    assert not mounting.wanted
    await mounting.mount(CONNECTION, "ann", report)
    assert world.opened == 0


def test_options() -> None:
    assert "ro" not in sshmounts.options(device()).split(",")
    words = sshmounts.options(device(writable=False, follow=True)).split(",")
    assert {"ro", "follow_symlinks", "dir_cache=no", "attr_timeout=0", "nosuid"} <= set(words)
