"""A separate program between QEMU and passt: it lets no frame through to the host's loopback.

``python -I -S netfilter.py FD,USER PROGRAM ARGUMENT…`` copies frames between the stream socket
``FD`` and the program. It starts the program with one more argument, the number of the program's
end. It ends when either of them ends. As root it becomes ``USER``. In QEMU's stream each frame's
length comes before it: 4 bytes, big-endian.

passt maps the gateway's address to the host's loopback unless told not to. The passt of Debian 12
also connects to 127.0.0.1 for a guest that sends a frame there, and Linux connects to itself for
0.0.0.0 as well. So the filter drops frames to such addresses, and everything that is neither ARP
nor IPv4.

This module imports little, and nothing of ``gaovm``: each VM runs one for as long as it lives.
"""

from __future__ import annotations

import os
import select
import socket
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_HEAD = 4
_BLOCK = 256 << 10
#: QEMU's largest frame (net/net.h: NET_BUFSIZE).
MAX_FRAME = 4096 + 65536
_ETHERNET = 14
_IPV4_HEADER = 20
_TARGET = _ETHERNET + 16
_ARP, _IPV4 = b"\x08\x06", b"\x08\x00"
#: First bytes of addresses that lead to this host: "this network", which Linux takes as itself,
#: and the loopback.
_CLOSED = (0, 127)
#: The user without any rights, on Debian and its kin.
NOBODY = 65534


class Malformed(Exception):
    """The peer does not speak frames."""


def admitted(frame: memoryview) -> bool:
    """Whether a frame from the guest may pass."""
    kind = frame[_ETHERNET - 2 : _ETHERNET]
    if kind == _ARP:
        return True
    return (
        kind == _IPV4 and len(frame) >= _ETHERNET + _IPV4_HEADER and frame[_TARGET] not in _CLOSED
    )


def sift(data: bytearray) -> bytes:
    """Take the whole frames from the front of ``data``; return those that may pass, with lengths.

    Raises:
        Malformed: a length that no frame can have.
    """
    passing = []
    start = 0
    with memoryview(data) as view:
        while len(view) - start >= _HEAD:
            length = int.from_bytes(view[start : start + _HEAD], "big")
            if length > MAX_FRAME:
                raise Malformed(f"a frame of {length} bytes")
            end = start + _HEAD + length
            if end > len(view):
                break
            if admitted(view[start + _HEAD : end]):
                passing.append(bytes(view[start:end]))
            start = end
    del data[:start]
    return b"".join(passing)


class Flow:
    """One direction. It keeps only the bytes that the target does not take yet."""

    def __init__(self, source: int, target: int, *, sifted: bool) -> None:
        self.source, self.target = source, target
        self._sifted = sifted
        self._partial = bytearray()
        self._pending = memoryview(b"")

    @property
    def stuck(self) -> bool:
        """Whether the target must take something before this flow reads more."""
        return len(self._pending) > 0

    def read(self) -> bool:
        """Read once and pass it on; False at the end of the source."""
        data = os.read(self.source, _BLOCK)
        if self._sifted and data:
            self._partial += data
            self._pending = memoryview(sift(self._partial))
        else:
            self._pending = memoryview(data)
        self.write()
        return bool(data)

    def write(self) -> None:
        """Write what is pending, as far as the target takes it."""
        while self._pending:
            try:
                count = os.write(self.target, self._pending)
            except BlockingIOError:
                return
            self._pending = self._pending[count:]


def relay(guest: int, outside: int) -> None:
    """Copy in both directions until one end is closed."""
    flows = (Flow(guest, outside, sifted=True), Flow(outside, guest, sifted=False))
    for fd in (guest, outside):
        os.set_blocking(fd, False)
    poll = select.poll()
    while True:
        for fd, mask in _wanted(flows).items():
            poll.register(fd, mask)
        ready = dict(poll.poll())
        if any(mask & (select.POLLHUP | select.POLLERR) for mask in ready.values()):
            return  # drop one end's last bytes: nobody is left to answer them
        for flow in flows:
            # a descriptor can be one flow's source and another's target: the mask says which
            if flow.stuck:
                if ready.get(flow.target, 0) & select.POLLOUT:
                    flow.write()
            elif ready.get(flow.source, 0) & select.POLLIN and not flow.read():
                return


def _wanted(flows: Iterable[Flow]) -> dict[int, int]:
    """Return the events to wait for, by descriptor: space if a flow is stuck, else input."""
    wanted: dict[int, int] = {}
    for flow in flows:
        wanted.setdefault(flow.source, 0)
        wanted.setdefault(flow.target, 0)
        if flow.stuck:
            wanted[flow.target] |= select.POLLOUT
        else:
            wanted[flow.source] |= select.POLLIN
    return wanted


def main(arguments: list[str]) -> int:
    """Start the program and relay; return the program's status if the program ended first."""
    socket_number, _, user = arguments[0].partition(",")
    guest, number = int(socket_number), int(user or NOBODY)
    ours, theirs = socket.socketpair()
    theirs.set_inheritable(True)
    os.set_inheritable(guest, False)
    pid = os.posix_spawn(arguments[1], [*arguments[1:], str(theirs.fileno())], {})
    theirs.close()
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(number)
        os.setuid(number)
    try:
        relay(guest, ours.fileno())
    except (ConnectionError, Malformed) as exc:
        sys.stderr.write(f"netfilter: {exc}\n")
    ours.close()
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status) & 0xFF


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
