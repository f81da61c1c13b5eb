"""A session's stream for one-way work: send and receive frames, blocking.

The channel also reads while it sends, so it sees the guest's refusal at once.
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

    ``status`` is the guest's exit status, once EXIT has arrived.
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
                raise errors.GuestProtocolError("the guest stopped before the copy was complete")

    def _send_some(self, view: memoryview) -> int:
        try:
            return self._sock.send(view)
        except BlockingIOError:
            return 0
        except OSError:
            # the guest reads no more; it has sent the reason, or the stream just ends
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
        """Return the guest's next DATA, or ``b""`` once the guest has exited.

        Raises:
            errors.GuestCallFailed: the guest answered with an error.
            errors.ConnectionLost: the VM went away.
            errors.GuestProtocolError: the guest broke its protocol.
        """
        while not self._data:
            if self.status is not None:
                return b""
            self._wait()
            self._receive()
        return self._data.popleft()

    def finish(self) -> None:
        """Wait for the guest's EXIT and drop the data that still arrives.

        Raises:
            errors.GuestCallFailed: the exit status is not 0.
        """
        while self.next_data():
            pass
        if self.status:
            raise errors.GuestCallFailed(
                f"the guest's side of the copy ended with status {self.status}",
                details={"agent_code": "internal"},
            )
