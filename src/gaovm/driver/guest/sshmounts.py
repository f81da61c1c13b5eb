"""Shares that the guest mounts by SSHFS (``mountType: reverse-sshfs``).

sshfs in the guest speaks SFTP over its stdin and stdout, which are a stream of the agent's channel;
the driver relays that to a server on the host. There is no network, no SSH and no key in between.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import socket
from collections.abc import Callable, Iterable

import msgspec

from gaovm import errors
from gaovm.aio import tasks
from gaovm.builder import choices
from gaovm.builder.document import ShareDevice
from gaovm.guestmanager import mounts, processes
from gaovm.guestmanager.transport.connection import Connection
from gaovm.guestmanager.transport.stream import Stream
from gaovm.wire import streams
from gaovm.wire.agent.mounts import Await
from gaovm.wire.agent.processes import Command

logger = logging.getLogger(__name__)
Report = Callable[[str, str], None]
OpenShare = Callable[[ShareDevice], contextlib.AbstractAsyncContextManager[socket.socket]]
INSTALL_LIMIT_S = 600.0
#: Pauses before a lost mount is made again; the last one is repeated.
PAUSES_S = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
MOUNT_LIMIT_S = 60
_CHUNK = 64 << 10
_MAX_WORDS = 2000
# Debian's package; other distributions have to bring it, with a provision script or in the image.
_INSTALL = """\
command -v sshfs >/dev/null && exit 0
command -v apt-get >/dev/null || { echo "sshfs is not installed in the guest" >&2; exit 1; }
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update && apt-get -qq -y --no-install-recommends install sshfs
"""
# An sshfs whose driver is gone may have left its mount behind.
_MOUNT = """\
umount -l -t fuse.sshfs "$1" 2>/dev/null
[ -e /dev/fuse ] || modprobe fuse
[ -d "$1" ] || { mkdir -p "$1" && chown "$2" "$1"; } || exit
# Some versions refuse links that lead upwards or elsewhere; the guest may follow its own.
sshfs -h 2>&1 | grep -q no_contain_symlinks && set -- "$1" "$2" "$3" "$4,no_contain_symlinks"
exec sshfs ":$3" "$1" -f -o "$4"
"""


class SshMounts:
    """The mounts of one guest, over all connections of its agent."""

    def __init__(
        self, shares: Iterable[ShareDevice], owner: tasks.TaskOwner, open_share: OpenShare
    ) -> None:
        self._shares = tuple(share for share in shares if share.type == choices.SSHFS)
        self._owner, self._open = owner, open_share
        self._relays: list[asyncio.Task[None]] = []

    @property
    def wanted(self) -> bool:
        """Whether there are any."""
        return bool(self._shares)

    async def mount(self, connection: Connection, user: str, report: Report) -> None:
        """Mount all of them. The guest's network must be up: sshfs may have to be installed.

        Raises:
            errors.GuestCallFailed: the guest has no sshfs, or cannot mount one of them.
            errors.GuestUnavailable: the agent is gone.
            errors.HostError: a server did not start.
        """
        self.end()
        report("mounts", "looking for sshfs in the guest; apt installs it if it is missing")
        await _install(connection)
        for share in self._shares:
            relay = _Relay(share, connection, self._open)
            task = self._owner.start(relay.keep(user), name=f"sshfs {share.tag}", finishable=True)
            self._relays.append(task)
            await relay.mounted(task)

    def end(self) -> None:
        """End the relays, as the connection is lost or the VM ends. Idempotent."""
        for task in self._relays:
            task.cancel()
        self._relays.clear()


class _Relay:
    """One mount: the guest's sshfs and its server, as long as both live."""

    def __init__(self, share: ShareDevice, connection: Connection, open_share: OpenShare) -> None:
        self._share, self._connection, self._open = share, connection, open_share
        self._words = b""
        self._was_mounted = False

    async def keep(self, user: str) -> None:
        """Mount the share, and mount it again whenever it is lost; return if it never was."""
        pauses = itertools.chain(PAUSES_S, itertools.repeat(PAUSES_S[-1]))
        await self._run(user)
        while self._was_mounted:
            await asyncio.sleep(next(pauses))
            self._words = b""
            await self._run(user)

    async def _run(self, user: str) -> None:
        """Relay between them until one ends."""
        share = self._share
        argv = ("/bin/sh", "-c", _MOUNT, "sh", share.mount_point, user, share.location)
        command = Command(argv=(*argv, options(share)), user="root")
        try:
            async with (
                self._open(share) as sock,
                processes.open_exec(self._connection) as stream,
            ):
                start = streams.encode(streams.START, msgspec.json.encode(command))
                await stream.write(start)
                up = tasks.spawn(_to_guest(sock, stream), name="sftp to the guest")
                try:
                    await self._to_host(sock, stream)
                finally:
                    await tasks.cancel_and_wait(up)
        except (errors.GaoError, OSError) as exc:
            logger.warning("mount %s: %s", share.mount_point, exc)
            self._words = self._words or str(exc).encode()
        else:
            logger.warning("mount %s: sshfs has ended: %s", share.mount_point, self._said())

    async def mounted(self, task: asyncio.Task[None]) -> None:
        """Wait until the guest has mounted it.

        Raises:
            errors.GuestCallFailed: it has not, and will not.
        """
        share = self._share
        wanted = Await(
            path=share.mount_point,
            type="fuse.sshfs",
            timeout_s=MOUNT_LIMIT_S,
            writable=share.writable,
        )
        waiting = tasks.spawn(mounts.await_one(self._connection, wanted), name="await mount")
        try:
            await asyncio.wait((waiting, task), return_when=asyncio.FIRST_COMPLETED)
            if waiting.done() and waiting.result().ok:
                self._was_mounted = True
                return
        finally:
            await tasks.cancel_and_wait(waiting)
        raise errors.GuestCallFailed(
            f"cannot mount {share.mount_point} in the guest (reverse-sshfs): {self._said()}",
            remedy="the image needs sshfs and the kernel module fuse; or use mountType: 9p",
            details={"mount": share.mount_point, "type": share.type},
        )

    async def _to_host(self, sock: socket.socket, stream: Stream) -> None:
        loop, decoder = asyncio.get_running_loop(), streams.Decoder()
        while chunk := await stream.read():
            for kind, payload in decoder.feed(chunk):
                if kind == streams.OUTPUT:
                    await loop.sock_sendall(sock, payload)
                elif kind in (streams.STDERR, streams.ERROR):
                    self._words = (self._words + payload)[-_MAX_WORDS:]

    def _said(self) -> str:
        text = self._words.decode("utf-8", "replace").strip()
        return " ".join(text.split())[-500:] or "it gave no reason"


async def _to_guest(sock: socket.socket, stream: Stream) -> None:
    loop = asyncio.get_running_loop()
    while data := await loop.sock_recv(sock, _CHUNK):
        if not await stream.write(streams.encode(streams.DATA, data)):
            return
    await stream.write(streams.encode(streams.EOF), end=True)


def options(share: ShareDevice) -> str:
    """Return sshfs's options for a share.

    No name and no attribute is kept, so the guest sees what the host has done. ``passive``, which
    older versions call ``slave``, means SFTP over stdin and stdout.
    """
    words = ["slave", "allow_other", "default_permissions", "dir_cache=no"]
    words += ["attr_timeout=0", "entry_timeout=0", "negative_timeout=0"]
    words += ["nosuid", "nodev", f"fsname={share.tag}"]
    if not share.writable:
        words.append("ro")
    if share.follow_symlinks:
        words.append("follow_symlinks")
    return ",".join(words)


async def _install(connection: Connection) -> None:
    command = Command(argv=("/bin/sh", "-c", _INSTALL), user="root")
    said = bytearray()

    def take(_: int, data: bytes) -> None:
        said.extend(data)
        del said[:-_MAX_WORDS]

    try:
        ended = await processes.run(connection, command, on_output=take, limit_s=INSTALL_LIMIT_S)
    except TimeoutError as exc:
        raise errors.GuestCallFailed("sshfs was not installed within 10 min") from exc
    if ended.code != 0:
        words = " ".join(said.decode("utf-8", "replace").split())[-500:]
        raise errors.GuestCallFailed(
            f"the guest has no sshfs, which mountType reverse-sshfs needs: {words}",
            field="mountType",
            remedy="use an image with sshfs, let the guest reach its package server, or use"
            " mountType: 9p",
        )
