"""What a daemon hands to the code that replaces it in its process: descriptors and their use.

It travels in a file in memory whose descriptor is inherited. ``FORMAT`` says how it is to be read:
a field that may be ignored, or has a default, can be added without a new number.
"""

from __future__ import annotations

import os

import msgspec

from gaovm import errors
from gaovm.ipc import handover as connections
from gaovm.platform import blobs

FORMAT = 1
FLAG = "--take-over"
_CHUNK = 1 << 20


class Driver(msgspec.Struct, frozen=True, kw_only=True):
    """A running driver and what the daemon holds of its VM in memory only."""

    vm: str
    pid: int
    start_time: int
    fd: int
    connection: connections.Snapshot
    hypervisor_pid: int | None = None
    timings: dict[str, float] = {}
    running_since: float | None = None
    paused: bool = False


class Zygote(msgspec.Struct, frozen=True, kw_only=True):
    """A zygote, and its drivers by pid: with a status those whose end nobody has taken yet."""

    pid: int
    fd: int
    drivers: dict[int, int | None]


class Client(msgspec.Struct, frozen=True, kw_only=True):
    """A client's connection. ``cursor``: the last event it was sent, if it subscribed."""

    fd: int
    connection: connections.Snapshot
    cursor: int | None = None


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """The client that waits for ``daemon.upgrade``: its place in ``clients`` and the call's id."""

    client: int
    call: int | str


class Handover(msgspec.Struct, frozen=True, kw_only=True):
    """Everything. ``restarts``: when a VM that waits for its restart is due (monotonic clock).

    ``open_files``: how many files the process might open before the daemon raised its limit.
    """

    format: int
    version: str
    started_at: str
    foreground: bool
    lock: int
    listener: int
    drivers: tuple[Driver, ...]
    zygotes: tuple[Zygote, ...]
    clients: tuple[Client, ...]
    asked: Asked | None
    restarts: dict[str, float] = {}
    log_level: str | None = None
    log_levels: dict[str, str] = {}
    open_files: int | None = None

    def descriptors(self) -> list[int]:
        """Every descriptor that is handed over."""
        found = [self.lock, self.listener]
        found += [each.fd for each in self.drivers]
        found += [each.fd for each in self.zygotes]
        found += [each.fd for each in self.clients]
        return found


class _Head(msgspec.Struct):
    format: int


def write(given: Handover) -> int:
    """Return the descriptor of a file in memory that holds it; not inherited yet."""
    fd = blobs.create("gaovmd-handover")
    view = memoryview(msgspec.json.encode(given))
    while view:
        view = view[os.write(fd, view) :]
    return fd


def read(fd: int) -> Handover:
    """Read what ``write`` wrote, in the process that inherited it; close the descriptor.

    From here on none of the descriptors is inherited.

    Raises:
        errors.StateCorrupt: it cannot be read, or is of a format that this code does not know.
    """
    data = bytearray()
    try:
        os.lseek(fd, 0, os.SEEK_SET)
        while block := os.read(fd, _CHUNK):
            data += block
        os.close(fd)
        found = msgspec.json.decode(data, type=_Head).format
        if found != FORMAT:
            raise errors.StateCorrupt(f"the hand-over has format {found}, not {FORMAT}")
        given = msgspec.json.decode(data, type=Handover)
        for each in given.descriptors():
            os.set_inheritable(each, False)
    except (OSError, msgspec.MsgspecError) as exc:
        raise errors.StateCorrupt(f"the hand-over cannot be read: {exc}") from exc
    return given
