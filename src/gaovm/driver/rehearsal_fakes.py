"""What a driver has around it, played inside one process: QEMU and the guest's agent.

For ``warmup``, which lets a whole driver run before any is forked. They know just what that run
asks of them; the fakes for tests, which misbehave on demand, are in ``gaovm.testing``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
from collections.abc import Awaitable, Callable

import h2.config
import h2.connection
import h2.events

from gaovm.aio import clock, tasks
from gaovm.driver.hypervisor import Hypervisor, OnEvent
from gaovm.wire import streams
from gaovm.wire.agent import table

# For the place of QEMU's executable: takes any arguments and waits to be killed.
PROGRAM = "#!/bin/sh\nexec sleep 60\n"
_GREETING = b'{"QMP":{"version":{"qemu":{"micro":0,"minor":0,"major":8}},"capabilities":[]}}\r\n'
_RESUME = b'{"event":"RESUME","timestamp":{"seconds":1,"microseconds":1}}\r\n'
_ID = re.compile(rb'"id":(\d+)')
_NONCE = "0" * 32
_HELLO = json.dumps({"version": "0", "exec_to_ready_ms": 1.0, "boot_ms": 1.0, "pid": 1})
_EXEC = (
    streams.encode(streams.STARTED, b'{"pid":1}')
    + streams.encode(streams.OUTPUT, b"text\n")
    + streams.encode(streams.EXIT, b'{"status":0}')
)


MOUNT_POINT = "/warm-up"
_ANSWERS = {
    table.EXEC.path: _EXEC,
    table.CONFIGURE.path: json.dumps({"mounts": [{"path": MOUNT_POINT, "ok": True}]}).encode(),
}


class StandIn(Hypervisor):
    """A hypervisor whose program only waits; its monitor, console and agent are played here."""

    def __init__(self, owner: tasks.TaskOwner, on_event: OnEvent) -> None:
        super().__init__(owner, on_event)
        self._played: list[socket.socket] = []

    def channel(self, name: str) -> tuple[socket.socket, socket.socket]:
        ours, played = socket.socketpair()
        played.setblocking(False)
        self._played.append(played)
        play = {"qmp": self._play_monitor, "agent": self._play_agent}.get(name, self._play_console)
        self._owner.start(self._play(play, played), name=name, finishable=True)
        return ours, played.dup()

    @staticmethod
    async def _play(play: Callable[[socket.socket], Awaitable[None]], sock: socket.socket) -> None:
        with sock, contextlib.suppress(ConnectionError):
            await play(sock)

    async def _play_console(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(sock, b"Linux version\r\n")
        await loop.sock_recv(sock, 1)

    async def _play_monitor(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(sock, _GREETING + _RESUME)
        while data := await loop.sock_recv(sock, 4096):
            for ident in _ID.findall(data):
                await loop.sock_sendall(sock, b'{"return":{},"id":%s}\r\n' % ident)

    async def _play_agent(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(sock, f"GAOVM-AGENT/1 {_NONCE} {_HELLO}\n".encode())
        answer = (await loop.sock_recv(sock, 4096)).split()[2]
        agent = _Agent()
        await loop.sock_sendall(sock, b"GAOVM-GO/1 " + answer + b"\n" + agent.feed(b""))
        while data := await loop.sock_recv(sock, 65536):
            await loop.sock_sendall(sock, agent.feed(data))
            if agent.off:
                self._die()

    def _die(self) -> None:
        """As QEMU does: its channels end with it."""
        self.kill()
        for sock in self._played:
            with contextlib.suppress(OSError):  # it has ended already
                sock.shutdown(socket.SHUT_RDWR)


class _Agent:
    """Answers every call; ``off`` when one asked for the power to be switched off."""

    def __init__(self) -> None:
        config = h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        self._h2 = h2.connection.H2Connection(config)
        self._h2.initiate_connection()
        self._paths: dict[int, str] = {}
        self.off = False

    def feed(self, data: bytes) -> bytes:
        for event in self._h2.receive_data(data):
            stream = getattr(event, "stream_id", None) or 0
            if isinstance(event, h2.events.RequestReceived):
                headers = {str(name): str(value) for name, value in event.headers or ()}
                self._paths[stream] = headers[":path"]
            elif isinstance(event, h2.events.StreamEnded):
                self._answer(stream, self._paths[stream])
        return self._h2.data_to_send()

    def _answer(self, stream: int, path: str) -> None:
        self.off = self.off or path == table.POWER.path
        headers = [(":status", "200"), ("content-type", "application/json")]
        self._h2.send_headers(stream, headers)
        answer = _ANSWERS.get(path, b"{}")
        if path == table.CLOCK.path:
            answer = json.dumps({"unix_ns": clock.now_ns()}).encode()
        self._h2.send_data(stream, answer, end_stream=True)
