"""What the agent knows of its guest."""

from __future__ import annotations

import msgspec

from gaovm.guestmanager import calls
from gaovm.guestmanager.connection import Connection


class Memory(msgspec.Struct):
    total_bytes: int = 0
    available_bytes: int = 0


class Address(msgspec.Struct):
    interface: str
    address: str


class Listener(msgspec.Struct):
    proto: str
    address: str
    port: int


class Disk(msgspec.Struct):
    total_bytes: int = 0
    free_bytes: int = 0


class Agent(msgspec.Struct):
    pid: int = 0
    rss_bytes: int = 0
    exec_to_ready_ms: float = 0
    boot_ms: float = 0
    streams: int = 0


class Info(msgspec.Struct):
    """The answer of ``GET /v1/info``; fields of newer agents are dropped."""

    version: str = ""
    kernel: str = ""
    os: str = ""
    hostname: str = ""
    uptime_s: float = 0
    load: list[float] = []
    memory: Memory = msgspec.field(default_factory=Memory)
    addresses: list[Address] = []
    listeners: list[Listener] = []
    disk: Disk = msgspec.field(default_factory=Disk)
    agent: Agent = msgspec.field(default_factory=Agent)


async def get(connection: Connection) -> Info:
    """The guest's state now."""
    return await calls.call(connection, "GET", "/v1/info", Info)


async def ping(connection: Connection) -> None:
    """One plain call that does nothing."""
    await calls.call(connection, "GET", "/v1/ping", calls.Nothing)
