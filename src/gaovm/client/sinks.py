"""Write local outputs completely without blocking the loop that feeds them."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections import deque

# macOS has no MSG_NOSIGNAL; Python ignores SIGPIPE there as well
_SEND_FLAGS = socket.MSG_DONTWAIT | getattr(socket, "MSG_NOSIGNAL", 0)
# a pipe that polls as writable accepts this many bytes without blocking
_SAFE_BYTES = 4096
# the reader went away; EIO: a terminal that hung up
_GONE = (errno.EPIPE, errno.ECONNRESET, errno.EIO)


class Sink:
    """Buffer bytes for a descriptor and write as much as its reader accepts.

    The descriptor's own flags do not change, as other processes may share it.
    ``broken``: nobody reads any more; the sink drops further bytes.
    ``error``: writing failed for another reason, such as a full disk.
    """

    def __init__(self, fd: int) -> None:
        self.broken = False
        self.error: OSError | None = None
        self._absent = False
        self.waiting_bytes = 0
        self._queue: deque[memoryview] = deque()
        self._limit = _SAFE_BYTES
        self._opened = -1
        self._socket: socket.socket | None = None
        self.fd = fd
        try:
            mode = os.fstat(fd).st_mode
        except OSError:  # closed from the start: nobody reads it
            self._absent = True
            return
        if stat.S_ISREG(mode):
            self._limit = 1 << 30
        elif stat.S_ISSOCK(mode):
            self._socket = socket.socket(fileno=os.dup(fd))
            self._limit = 1 << 30
        elif stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
            self._reopen(fd)

    def _reopen(self, fd: int) -> None:
        """Open the file again, so that O_NONBLOCK affects only this process."""
        flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        try:
            self._opened = self.fd = os.open(f"/proc/self/fd/{fd}", flags)
        except OSError:
            return  # another user's terminal, or no /proc: small writes when it is ready
        self._limit = 1 << 30

    def close(self) -> None:
        """Close what the sink opened; the caller's descriptor stays open. Idempotent."""
        if self._opened >= 0:
            os.close(self._opened)
            self._opened = -1
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def write(self, data: bytes) -> None:
        """Accept bytes; those that cannot be written now wait: ``waiting_bytes``, ``flush``."""
        if self.broken or self._absent or not data:
            return
        self._queue.append(memoryview(data))
        self.waiting_bytes += len(data)
        if len(self._queue) == 1 and self._limit > _SAFE_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what can be written. Call this when the descriptor polls as writable."""
        while self._queue:
            view = self._queue[0]
            try:
                count = self._write_once(view[: self._limit])
            except BlockingIOError:
                return
            except OSError as exc:
                self._break(exc)
                return
            self.waiting_bytes -= count
            if count < len(view):
                self._queue[0] = view[count:]
                if self._limit == _SAFE_BYTES:
                    return
            else:
                self._queue.popleft()

    def _write_once(self, view: memoryview) -> int:
        if self._socket is not None:
            return self._socket.send(view, _SEND_FLAGS)
        return os.write(self.fd, view)

    def _break(self, error: OSError) -> None:
        if error.errno in _GONE:
            self.broken = True
        else:
            self.error = error
        self._absent = True
        self._queue.clear()
        self.waiting_bytes = 0
