"""Notice that the other side has closed a socket, and not just ended its direction.

A socket whose other side has ended its direction is readable all the time, so a plain wait for
input would spin.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
from typing import Protocol

from gaovm.platform import system


class Hangup(Protocol):
    """Readable once the other side is gone; ``watch`` makes it."""

    def fileno(self) -> int:
        """The descriptor to wait for."""
        ...

    def close(self) -> None:
        """Stop watching. Idempotent."""
        ...


def watch(sock: socket.socket) -> Hangup:
    """Watch a connected Unix socket, whose other side may have ended its direction already."""
    if not system.LINUX:
        return _Polling(sock)
    # An epoll that asks for no events reports only the hang-up.
    watcher = select.epoll()
    watcher.register(sock.fileno(), 0)
    return watcher


class _Polling:
    """The same with a thread: poll(2) that asks for no events returns only at a hang-up."""

    def __init__(self, sock: socket.socket) -> None:
        self._reading, writing = os.pipe()
        # a copy of our own: the caller may close the socket, and its number may be used again
        copy = sock.dup()
        self._waking, self._wake = os.pipe()
        threading.Thread(
            target=self._wait, args=(copy, writing, self._waking), name="hang-up", daemon=True
        ).start()

    @staticmethod
    def _wait(sock: socket.socket, writing: int, waking: int) -> None:
        poll = select.poll()
        poll.register(sock, 0)
        poll.register(waking, select.POLLIN)
        with sock, contextlib.suppress(OSError):
            poll.poll()
        os.close(writing)
        os.close(waking)

    def fileno(self) -> int:
        """The pipe's reading end; -1 once it is closed."""
        return self._reading

    def close(self) -> None:
        """Stop watching. Idempotent."""
        if self._reading >= 0:
            os.close(self._wake)
            os.close(self._reading)
            self._reading = -1
