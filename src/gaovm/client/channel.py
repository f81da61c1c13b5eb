"""A session's stream for work that goes in one direction: frames sent and received, blocking.

While sending it listens, so that a guest that refuses is heard at once.
"""

from __future__ import annotations

import select
from collections import deque

from gaovm import errors
from gaovm.wire import streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket


class Channel:
    """Frames over a connected socket, which the caller owns.

    ``status``: the guest's EXIT, once it has come.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._decoder = streams.Decoder()
        self._data: deque[bytes] = deque()
        self.status: int | None = None
        sock.setblocking(False)

    def send(self, frame: bytes) -> None:
        """Send a whole frame.

        Raises:
            errors.GuestCallFailed: the guest answered with an error.
            errors.ConnectionLost: the VM went away.
        """
        view = memoryview(frame)
        while view:
            poll = select.poll()
            poll.register(self._sock, select.POLLIN | select.POLLOUT)
            for _, events in poll.poll():
                if events & ~select.POLLOUT:
                    self._receive()
                elif events & select.POLLOUT:
                    view = view[self._send_some(view) :]
            if self.status is not None:
                raise errors.GuestProtocolError("the guest ended the copy before its end")

    def _send_some(self, view: memoryview) -> int:
        try:
            return self._sock.send(view)
        except BlockingIOError:
            return 0
        except OSError:
            # it reads no more; it has said why, or the stream just ends
            while self.status is None:
                self._wait()
                self._receive()
            return 0

    def _wait(self) -> None:
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        poll.poll()

    def _receive(self) -> None:
        try:
            data = self._sock.recv(streams.CHUNK_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            raise errors.ConnectionLost("the VM went away during the copy")
        for kind, payload in self._decoder.feed(data):
            if kind == streams.OUTPUT:
                self._data.append(payload)
            elif kind == streams.EXIT:
                self.status = streams.exit_status(payload)
                return
            elif kind == streams.ERROR:
                raise streams.error(payload)

    def next_data(self) -> bytes:
        """The next DATA of the guest; ``b""`` once it has exited.

        Raises:
            errors.GuestCallFailed, errors.ConnectionLost, errors.GuestProtocolError: as it says.
        """
        while not self._data:
            if self.status is not None:
                return b""
            self._wait()
            self._receive()
        return self._data.popleft()

    def finish(self) -> None:
        """Wait for the guest's EXIT; data that still comes is dropped.

        Raises:
            errors.GuestCallFailed: it was not 0.
        """
        while self.next_data():
            pass
        if self.status:
            raise errors.GuestCallFailed(
                f"the guest's side of the copy ended with status {self.status}",
                details={"agent_code": "internal"},
            )
