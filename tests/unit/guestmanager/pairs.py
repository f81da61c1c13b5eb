"""A channel and a fake agent at the two ends of a socket pair, in one event loop."""

from __future__ import annotations

import asyncio
import socket

from gaovm import errors
from gaovm.guestmanager.transport.channel import Channel
from gaovm.guestmanager.transport.connection import Connection
from gaovm.testing.fake_agent import FakeAgent
from gaovm.wire.agent.handshake import Hello


class Ear:
    """A listener that remembers what it hears."""

    def __init__(self) -> None:
        self.connected: asyncio.Queue[tuple[Connection, Hello]] = asyncio.Queue()
        self.lost: asyncio.Queue[errors.GaoError] = asyncio.Queue()

    def on_connected(self, connection: Connection, hello: Hello) -> None:
        self.connected.put_nowait((connection, hello))

    def on_lost(self, error: errors.GaoError) -> None:
        self.lost.put_nowait(error)


class Pair:
    """``async with Pair() as pair`` connects ``pair.channel`` and ``pair.agent``."""

    def __init__(self, behaviour: str = "normal") -> None:
        self.agent = FakeAgent(behaviour)
        self.ear = Ear()

    async def __aenter__(self) -> Pair:
        ours, self.theirs = socket.socketpair()
        self.theirs.setblocking(False)
        self.channel = await Channel.open(ours, self.ear)
        self._task = asyncio.create_task(self.serve(self.agent))
        return self

    async def serve(self, agent: FakeAgent, before: bytes = b"") -> None:
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(self.theirs, before + agent.hello())
        while data := await loop.sock_recv(self.theirs, 65536):
            await loop.sock_sendall(self.theirs, agent.feed(data))

    async def restart(self, agent: FakeAgent, before: bytes = b"") -> None:
        """Replace the agent's process with another."""
        self._task.cancel()
        await asyncio.wait([self._task])
        self.agent = agent
        self._task = asyncio.create_task(self.serve(agent, before))

    async def __aexit__(self, *exc: object) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])
        self.channel.close()
        self.theirs.close()
        await asyncio.sleep(0)
