"""A QEMU that only waits, for a driver's warm-up; this process plays its monitor.

It answers only the requests of that run. ``gaovm.testing`` has the fakes for tests, which misbehave
on demand.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from collections.abc import Awaitable, Callable, Mapping

from gaovm.aio import tasks
from gaovm.vmmanager.events import OnEvent
from gaovm.vmmanager.qemu.hypervisor import Hypervisor

_GREETING = b'{"QMP":{"version":{"qemu":{"micro":0,"minor":0,"major":8}},"capabilities":[]}}\r\n'
_RESUME = b'{"event":"RESUME","timestamp":{"seconds":1,"microseconds":1}}\r\n'
_ID = re.compile(rb'"id":(\d+)')
#: Plays the other end of a channel until it returns true: then the guest has powered itself off.
Player = Callable[[socket.socket], Awaitable[bool]]


class StandIn(Hypervisor):
    """A QEMU whose program only waits; ``players`` play its console and its agent."""

    def __init__(
        self, owner: tasks.TaskOwner, on_event: OnEvent, players: Mapping[str, Player]
    ) -> None:
        super().__init__(owner, on_event)
        self._players = {**players, "qmp": _play_monitor}
        self._played: list[socket.socket] = []

    def channel(self, name: str) -> tuple[socket.socket, socket.socket]:
        ours, played = socket.socketpair()
        played.setblocking(False)
        self._played.append(played)
        self._owner.start(self._play(self._players[name], played), name=name, finishable=True)
        return ours, played.dup()

    async def _play(self, player: Player, sock: socket.socket) -> None:
        with sock, contextlib.suppress(ConnectionError):
            if await player(sock):
                self._die()

    def _die(self) -> None:
        """Close the channels, as they close when a real QEMU ends."""
        self.kill()
        for sock in self._played:
            with contextlib.suppress(OSError):  # it has ended already
                sock.shutdown(socket.SHUT_RDWR)


async def _play_monitor(sock: socket.socket) -> bool:
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(sock, _GREETING + _RESUME)
    while data := await loop.sock_recv(sock, 4096):
        for ident in _ID.findall(data):
            await loop.sock_sendall(sock, b'{"return":{},"id":%s}\r\n' % ident)
    return False
