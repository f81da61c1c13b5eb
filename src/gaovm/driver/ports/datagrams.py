"""UDP: each peer of the host has a session in the guest, as with any NAT.

A session ends after a minute without a datagram. There are few: a datagram of one more peer takes
the place of the session that was silent for longest. Datagrams that come faster than the guest
takes them are dropped.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Any

from gaovm import errors
from gaovm.aio import clock, tasks
from gaovm.driver.ports.relay import GetConnection, Inside
from gaovm.guestmanager import ports

logger = logging.getLogger(__name__)
MAX_SESSIONS = 48
#: Datagrams of one peer that wait for the guest.
MAX_WAITING = 64
IDLE_S = 60.0
MAX_DATAGRAM = 65507
_Address = tuple[Any, ...]


class _Session:
    """One peer's datagrams."""

    def __init__(self, sock: socket.socket, peer: _Address) -> None:
        self.sock, self.peer = sock, peer
        self.waiting: asyncio.Queue[bytes] = asyncio.Queue(MAX_WAITING)
        self.used_at = clock.monotonic()
        self.task: asyncio.Task[None] | None = None


class Datagrams:
    """Carries the datagrams of all UDP forwards, at most ``MAX_SESSIONS`` sessions at once."""

    def __init__(self, owner: tasks.TaskOwner, get_connection: GetConnection) -> None:
        self._owner, self._get_connection = owner, get_connection
        self._sessions: dict[tuple[int, _Address], _Session] = {}

    def serve(
        self, sock: socket.socket, name: str, inside: Callable[[], Inside | None]
    ) -> asyncio.Task[None]:
        """Take datagrams until the task is cancelled, which ends its sessions."""
        return self._owner.start(self._receive(sock, name, inside), name=name, finishable=True)

    async def _receive(
        self, sock: socket.socket, name: str, inside: Callable[[], Inside | None]
    ) -> None:
        loop = asyncio.get_running_loop()
        try:
            while True:
                try:
                    data, peer = await loop.sock_recvfrom(sock, MAX_DATAGRAM)
                except OSError:  # an earlier answer could not be delivered
                    await asyncio.sleep(0)
                    continue
                if (now := inside()) is not None:
                    self._take(sock, name, peer, data, now)
        finally:
            for session in list(self._sessions.values()):
                if session.sock is sock and session.task is not None:
                    session.task.cancel()

    def _take(
        self, sock: socket.socket, name: str, peer: _Address, data: bytes, inside: Inside
    ) -> None:
        key = (id(sock), peer)
        session = self._sessions.get(key)
        if session is None:
            if len(self._sessions) >= MAX_SESSIONS:
                self._end_oldest()
            session = self._sessions[key] = _Session(sock, peer)
            work = self._carry(key, session, inside)
            session.task = self._owner.start(work, name=f"{name} peer", finishable=True)
        session.used_at = clock.monotonic()
        if not session.waiting.full():
            session.waiting.put_nowait(data)

    def _end_oldest(self) -> None:
        key = min(self._sessions, key=lambda each: self._sessions[each].used_at)
        session = self._sessions.pop(key)
        if session.task is not None:
            session.task.cancel()

    async def _carry(self, key: tuple[int, _Address], session: _Session, inside: Inside) -> None:
        try:
            tunnel = await ports.Tunnel.connect(
                self._get_connection(), inside.address, inside.network
            )
            async with tunnel, asyncio.TaskGroup() as group:
                ends = [
                    group.create_task(_to_guest(session, tunnel)),
                    group.create_task(_to_peer(session, tunnel)),
                ]
                await _idle(session)
                for end in ends:
                    end.cancel()
        except (errors.GaoError, OSError, ExceptionGroup) as exc:
            logger.debug("datagrams to %s: %s", inside.address, exc)
        finally:
            if self._sessions.get(key) is session:
                del self._sessions[key]


async def _to_guest(session: _Session, tunnel: ports.Tunnel) -> None:
    while True:
        data = await session.waiting.get()
        if not await tunnel.write(data):
            raise errors.GuestUnavailable("the session's end in the guest is gone")


async def _to_peer(session: _Session, tunnel: ports.Tunnel) -> None:
    loop = asyncio.get_running_loop()
    while True:
        data = await tunnel.read_datagram()
        if data is None:
            raise errors.GuestUnavailable("the session's end in the guest is gone")
        session.used_at = clock.monotonic()
        await loop.sock_sendto(session.sock, data, session.peer)


async def _idle(session: _Session) -> None:
    """Return when no datagram has passed for ``IDLE_S`` seconds."""
    left = IDLE_S
    while left > 0:
        await asyncio.sleep(left)
        left = session.used_at + IDLE_S - clock.monotonic()
