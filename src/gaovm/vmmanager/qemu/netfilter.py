"""A program of its own between QEMU and passt: no frame to the host's loopback passes it.

``python -I -S netfilter.py FD,USER PROGRAM ARGUMENT…`` copies frames between the stream socket
``FD`` and the program, which it starts with one argument more: the number of its end. It ends when
either of them does. As root it becomes ``USER``. Before each frame QEMU's stream has its length, 4
bytes, big-endian.

passt maps the gateway's address to the host's loopback unless it is told not to, and that is not
all: the passt of Debian 12 also connects to 127.0.0.1 for a guest that sends a frame there, and
Linux connects to itself for 0.0.0.0 as well. So frames to such addresses end here, and so does
everything that is neither ARP nor IPv4.

Imports little, and nothing of ``gaovm``: it runs once per VM for as long as that runs.
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
#: The largest frame of QEMU's (net/net.h: NET_BUFSIZE).
MAX_FRAME = 4096 + 65536
_ETHERNET = 14
_IPV4_HEADER = 20
_TARGET = _ETHERNET + 16
_ARP, _IPV4 = b"\x08\x06", b"\x08\x00"
#: First bytes of addresses that lead to this host: "this network", which Linux takes for itself,
#: and the loopback.
_CLOSED = (0, 127)
#: Who has no rights at all, on Debian and its kin.
NOBODY = 65534


class Malformed(Exception):
    """The peer does not speak frames."""


def admitted(frame: memoryview) -> bool:
    """Whether a frame of the guest's may pass."""
    kind = frame[_ETHERNET - 2 : _ETHERNET]
    if kind == _ARP:
        return True
    return (
        kind == _IPV4 and len(frame) >= _ETHERNET + _IPV4_HEADER and frame[_TARGET] not in _CLOSED
    )


def sift(data: bytearray) -> bytes:
    """Take the whole frames from the front of ``data``; returns those that may pass, with lengths.

    Raises:
        Malformed: a length that no frame has.
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
    """One direction; what the target does not take yet is all that is kept."""

    def __init__(self, source: int, target: int, *, sifted: bool) -> None:
        self.source, self.target = source, target
        self._sifted = sifted
        self._partial = bytearray()
        self._pending = memoryview(b"")

    @property
    def stuck(self) -> bool:
        """Whether the target must take something before more is read."""
        return len(self._pending) > 0

    def read(self) -> bool:
        """Read once and hand on; False at the end of the source."""
        data = os.read(self.source, _BLOCK)
        if self._sifted and data:
            self._partial += data
            self._pending = memoryview(sift(self._partial))
        else:
            self._pending = memoryview(data)
        self.write()
        return bool(data)

    def write(self) -> None:
        """Hand on what is pending, as far as the target takes it."""
        while self._pending:
            try:
                count = os.write(self.target, self._pending)
            except BlockingIOError:
                return
            self._pending = self._pending[count:]


def relay(guest: int, outside: int) -> None:
    """Copy both ways until one end is closed."""
    flows = (Flow(guest, outside, sifted=True), Flow(outside, guest, sifted=False))
    for fd in (guest, outside):
        os.set_blocking(fd, False)
    poll = select.poll()
    while True:
        for fd, mask in _wanted(flows).items():
            poll.register(fd, mask)
        ready = dict(poll.poll())
        if any(mask & (select.POLLHUP | select.POLLERR) for mask in ready.values()):
            return  # what one end still had to say, the other cannot answer any more
        for flow in flows:
            # one descriptor is a flow's source and the other's target: the mask says for whom
            if flow.stuck:
                if ready.get(flow.target, 0) & select.POLLOUT:
                    flow.write()
            elif ready.get(flow.source, 0) & select.POLLIN and not flow.read():
                return


def _wanted(flows: Iterable[Flow]) -> dict[int, int]:
    """What to wait for, by descriptor: room where a flow is stuck, else something to read."""
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
    """Start the program, relay, and give its status when it is what ended."""
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
