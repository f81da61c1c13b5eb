"""Noticing that the other side has closed a socket, as opposed to having ended its direction.

Such a socket is readable all the time, so a plain wait for input would spin.
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
    """Readable once the other side is gone; made by ``watch``."""

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
    # An epoll with no events asked for reports the hang-up alone.
    watcher = select.epoll()
    watcher.register(sock.fileno(), 0)
    return watcher


class _Polling:
    """The same by a thread: poll(2) with no events asked for returns at a hang-up alone."""

    def __init__(self, sock: socket.socket) -> None:
        self._reading, writing = os.pipe()
        # its own copy: the caller may close the socket, and the number may be another's then
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
