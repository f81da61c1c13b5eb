"""The guest as a driver sees it, played inside one process: its console and its agent.

They serve ``warmup``, which runs a whole driver before any fork. They know only what that run asks
of them. ``gaovm.testing`` has the fakes for tests, which misbehave on demand.
"""

from __future__ import annotations

import asyncio
import json
import socket

import h2.config
import h2.connection
import h2.events

from gaovm.aio import clock
from gaovm.wire import streams
from gaovm.wire.agent import table

# Replaces the hypervisor's executable: takes any arguments and waits until somebody kills it.
PROGRAM = "#!/bin/sh\nexec sleep 60\n"
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


async def play_console(sock: socket.socket) -> bool:
    """Write one line, and read nothing."""
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(sock, b"Linux version\r\n")
    await loop.sock_recv(sock, 1)
    return False


async def play_agent(sock: socket.socket) -> bool:
    """Answer every call; return true once a call asks to power off."""
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(sock, f"GAOVM-AGENT/1 {_NONCE} {_HELLO}\n".encode())
    answer = (await loop.sock_recv(sock, 4096)).split()[2]
    agent = _Agent()
    await loop.sock_sendall(sock, b"GAOVM-GO/1 " + answer + b"\n" + agent.feed(b""))
    while data := await loop.sock_recv(sock, 65536):
        await loop.sock_sendall(sock, agent.feed(data))
        if agent.off:
            return True
    return False


#: Players, by the name of the channel whose other end they play.
PLAYERS = {"console": play_console, "agent": play_agent}


class _Agent:
    """Answers every call; sets ``off`` once a call asks to power off."""

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
