"""The loop of ``exec``: our standard streams, our signals and our window against one stream.

Reads from the guest only as fast as our outputs take it, and from our input only as fast as the
guest takes it, so memory stays bounded whatever either side does.
"""

from __future__ import annotations

import os
import select
import signal

from gaovm import errors
from gaovm.client import signals, sinks, stream_frames, terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping
    from typing import Any

# beyond this a side waits for the other
_HIGH_WATER = 1 << 20
# a guest that stands still must not hold its user: so many, and nothing from the guest since
_LEAVING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_LEAVE_AFTER = 3
CLOSED_OUTPUT_STATUS = 128 + signal.SIGPIPE


class ExecLoop:
    """One exec over a connected stream; ``run`` once."""

    def __init__(self, sock: socket.socket, fds: tuple[int, int, int], *, tty: bool) -> None:
        self._sock = sock
        self._stdin = fds[0]
        self._tty = tty
        self._window_fd = fds[1]
        self._out = sinks.Sink(fds[1])
        self._err = sinks.Sink(fds[2])
        self._decoder = stream_frames.Decoder()
        self._outgoing = bytearray()
        self._reading = True
        self._sending = True
        self._status: int | None = None
        self._unanswered = 0
        self._pipe: signals.SignalPipe | None = None

    def run(self, start: Mapping[str, Any]) -> int:
        """The exit status; see ``session.run_exec``."""
        self._sock.setblocking(False)
        self._outgoing += stream_frames.encode_json(stream_frames.START, start)
        wanted = (*signals.FORWARDED, signal.SIGWINCH) if self._tty else signals.FORWARDED
        try:
            with signals.SignalPipe(wanted) as self._pipe:
                while self._status is None:
                    self._turn(self._pipe)
                return self._drain(self._pipe, self._status)
        finally:
            self._out.close()
            self._err.close()

    def _turn(self, pipe: signals.SignalPipe) -> None:
        """Wait until something can be done, and do it."""
        poll = select.poll()
        poll.register(pipe.fd, select.POLLIN)
        full = max(self._out.waiting_bytes, self._err.waiting_bytes) > _HIGH_WATER
        interest = 0 if full else select.POLLIN
        if self._outgoing and self._sending:
            interest |= select.POLLOUT
        if interest:  # a hang-up would be reported over and over
            poll.register(self._sock, interest)
        if self._reading and len(self._outgoing) < _HIGH_WATER:
            poll.register(self._stdin, select.POLLIN)
        for sink in (self._out, self._err):
            if sink.waiting_bytes:
                poll.register(sink.fd, select.POLLOUT)
        for fd, events in poll.poll():
            if fd == pipe.fd:
                self._forward(pipe)
            elif fd == self._sock.fileno():
                self._on_socket(events, full)
            elif fd == self._stdin and events & ~select.POLLOUT:
                self._on_stdin()
        self._out.flush()
        self._err.flush()
        self._check_outputs()

    def _check_outputs(self) -> None:
        for sink, name in ((self._out, "output"), (self._err, "error")):
            if sink.error is not None:
                raise errors.HostError(f"cannot write standard {name}: {sink.error.strerror}")
        if self._out.broken and self._status is None:
            self._status = CLOSED_OUTPUT_STATUS

    def _forward(self, pipe: signals.SignalPipe) -> None:
        for number in pipe.take():
            if number == signal.SIGWINCH:
                rows, cols = terminal.size(self._window_fd)
                body = {"rows": rows, "cols": cols}
                self._outgoing += stream_frames.encode_json(stream_frames.RESIZE, body)
            else:
                name = signal.Signals(number).name.removeprefix("SIG")
                body_ = {"signal": name}
                self._outgoing += stream_frames.encode_json(stream_frames.SIGNAL, body_)
                self._unanswered += number in _LEAVING
                if self._unanswered >= _LEAVE_AFTER and self._status is None:
                    self._err.write(b"gaovm: nothing came back after three signals: left\n")
                    self._status = 128 + number

    def _on_stdin(self) -> None:
        try:
            data = os.read(self._stdin, stream_frames.CHUNK_BYTES)
        except BlockingIOError:
            return
        except OSError:  # closed, or a terminal that hung up
            data = b""
        if data:
            self._outgoing += stream_frames.encode(stream_frames.DATA, data)
        else:
            self._reading = False
            self._outgoing += stream_frames.encode(stream_frames.EOF)

    def _on_socket(self, events: int, full: bool) -> None:
        if events & select.POLLOUT:
            self._send()
        if events & ~select.POLLOUT and not full:
            self._receive()

    def _send(self) -> None:
        try:
            with memoryview(self._outgoing) as view:
                count = self._sock.send(view[: stream_frames.CHUNK_BYTES])
            del self._outgoing[:count]
        except BlockingIOError:
            return
        except OSError:  # it reads no more, but what it has said is still to be read
            self._sending = self._reading = False
            self._outgoing.clear()

    def _receive(self) -> None:
        try:
            data = self._sock.recv(stream_frames.CHUNK_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._fail(errors.ConnectionLost("the VM went away before the command ended"))
        self._unanswered = 0
        self._decoder.feed(data)
        while self._status is None and (frame := self._decoder.next()) is not None:
            self._on_frame(*frame)

    def _on_frame(self, kind: int, payload: bytes) -> None:
        if kind == stream_frames.OUT:
            self._out.write(payload)
        elif kind == stream_frames.ERR:
            self._err.write(payload)
        elif kind == stream_frames.EXIT:
            self._status = stream_frames.exit_status(payload)
        elif kind == stream_frames.ERROR:
            self._fail(stream_frames.error(payload))

    def _fail(self, error: errors.GaoError) -> None:
        """Raise, after what the guest wrote before has been shown."""
        if self._pipe is not None:
            self._drain(self._pipe, 0)
        raise error

    def _drain(self, pipe: signals.SignalPipe, status: int) -> int:
        """Write what waits; a signal ends that, as nobody else is left to take it."""
        while self._out.waiting_bytes or self._err.waiting_bytes:
            poll = select.poll()
            poll.register(pipe.fd, select.POLLIN)
            for sink in (self._out, self._err):
                if sink.waiting_bytes:
                    poll.register(sink.fd, select.POLLOUT)
            poll.poll()
            numbers = [number for number in pipe.take() if number != signal.SIGWINCH]
            if numbers:
                return 128 + numbers[0]
            self._out.flush()
            self._err.flush()
        self._check_outputs()
        return status
