"""What the agent knows about its guest: the answer of ``GET /v1/info``."""

from __future__ import annotations

from typing import Annotated

import msgspec

Protocol = Annotated[str, msgspec.Meta(examples=["tcp", "udp"])]


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """The guest's memory."""

    total_bytes: int = 0
    available_bytes: int = 0


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """One address of the guest, with its prefix length."""

    interface: str
    address: str


class Listener(msgspec.Struct, frozen=True, kw_only=True):
    """A socket that listens in the guest."""

    proto: Protocol
    address: str
    port: int


class Disk(msgspec.Struct, frozen=True, kw_only=True):
    """The root file system."""

    total_bytes: int = 0
    free_bytes: int = 0


class Agent(msgspec.Struct, frozen=True, kw_only=True):
    """The agent's own process; ``streams``: those that are open."""

    pid: int = 0
    rss_bytes: int = 0
    exec_to_ready_ms: float = 0
    boot_ms: float = 0
    streams: int = 0


class Info(msgspec.Struct, frozen=True, kw_only=True):
    """The state of the guest now; ``load`` over 1, 5 and 15 minutes."""

    version: str = ""
    kernel: str = ""
    os: str = ""
    hostname: str = ""
    uptime_s: float = 0
    load: tuple[float, ...] = ()
    memory: Memory = Memory()
    addresses: tuple[Address, ...] = ()
    listeners: tuple[Listener, ...] = ()
    disk: Disk = Disk()
    agent: Agent = Agent()
