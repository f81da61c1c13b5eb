"""Relays raw bytes between two descriptors and a stream's socket, both ways, each with its own end.

The relay reads from one side only what the other side has taken: memory stays bounded.
"""

from __future__ import annotations

import os
import select
import socket

_CHUNK_BYTES = 64 << 10


class _Way:
    """One direction; ``fd`` of the reader and of the writer do not block."""

    def __init__(self, source: int, sink: int) -> None:
        self.source, self.sink = source, sink
        self.waiting = b""
        self.ended = False

    @property
    def open(self) -> bool:
        return not self.ended or bool(self.waiting)

    def read(self) -> None:
        try:
            self.waiting = os.read(self.source, _CHUNK_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self.waiting = b""
        self.ended = not self.waiting

    def write(self) -> None:
        try:
            done = os.write(self.sink, self.waiting)
        except BlockingIOError:
            return
        except OSError:  # nobody reads any more
            self.waiting, self.ended = b"", True
            return
        self.waiting = self.waiting[done:]


def relay(sock: socket.socket, stdin: int, stdout: int) -> None:
    """Relay until the socket's side has ended; the end of ``stdin`` ends only its direction."""
    sock.setblocking(False)
    for fd in (stdin, stdout):
        os.set_blocking(fd, False)
    up, down = _Way(stdin, sock.fileno()), _Way(sock.fileno(), stdout)
    told = False
    while down.open:
        poll = select.poll()
        for way in (up, down):
            if way.waiting:
                _add(poll, way.sink, select.POLLOUT)
            elif not way.ended:
                _add(poll, way.source, select.POLLIN)
        ready = {fd for fd, _ in poll.poll()}
        for way in (up, down):
            if way.waiting and way.sink in ready:
                way.write()
            elif not way.waiting and not way.ended and way.source in ready:
                way.read()
        if not up.open and not told:
            told = True
            _end(sock)


def _add(poll: select.poll, fd: int, events: int) -> None:
    try:
        poll.modify(fd, select.POLLIN | select.POLLOUT)
    except OSError:
        poll.register(fd, events)


def _end(sock: socket.socket) -> None:
    try:
        sock.shutdown(socket.SHUT_WR)
    except OSError:
        return  # gone; the other direction sees it
