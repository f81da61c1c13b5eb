"""The loop of ``exec``: connect our standard streams, signals and window size to one stream.

The loop reads from the guest only as fast as our outputs accept data, and from our input only as
fast as the guest accepts it. So memory stays bounded whatever either side does.
"""

from __future__ import annotations

import os
import select
import signal

from gaovm import errors
from gaovm.client import signals, sinks, terminal
from gaovm.wire import streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping
    from typing import Any

    from gaovm.client import escape, silence

# with more than this unwritten, the loop stops reading from the other side
_HIGH_WATER = 1 << 20
# a stuck guest must not hold its user: leave after this many signals without output in between
_LEAVING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_LEAVE_AFTER = 3
CLOSED_OUTPUT_STATUS = 128 + signal.SIGPIPE
# the status when the user leaves by ~.; the command in the guest gets a hang-up
LEFT_STATUS = 128 + signal.SIGHUP


class ExecLoop:
    """Run one exec over a connected stream; call ``run`` once.

    ``watch`` tells the user that the guest does not answer. A signal that such a guest does not
    react to ends the loop.
    """

    def __init__(
        self,
        sock: socket.socket,
        fds: tuple[int, int, int],
        *,
        tty: bool,
        watch: silence.Watch,
    ) -> None:
        self._sock = sock
        self._stdin = fds[0]
        self._tty = tty
        self._watch = watch
        self._escape: escape.Escape | None = None
        self._window_fd = fds[1]
        self._out = sinks.Sink(fds[1])
        self._err = sinks.Sink(fds[2])
        self._decoder = streams.Decoder()
        self._outgoing = bytearray()
        self._reading = True
        self._sending = True
        self._status: int | None = None
        self._unanswered = 0
        self._pipe: signals.SignalPipe | None = None

    def run(self, start: Mapping[str, Any]) -> int:
        """Run to the end and return the exit status; see ``session.run_exec``."""
        if self._tty:
            from gaovm.client import escape

            self._escape = escape.Escape()
        self._sock.setblocking(False)
        self._outgoing += streams.encode_json(streams.START, start)
        self._watch.sent()
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
        """Wait until a descriptor is ready, then serve it."""
        poll = select.poll()
        poll.register(pipe.fd, select.POLLIN)
        full = max(self._out.waiting_bytes, self._err.waiting_bytes) > _HIGH_WATER
        interest = 0 if full else select.POLLIN
        if self._outgoing and self._sending:
            interest |= select.POLLOUT
        if interest:  # without interest, poll would report a hang-up over and over
            poll.register(self._sock, interest)
        if self._reading and len(self._outgoing) < _HIGH_WATER:
            poll.register(self._stdin, select.POLLIN)
        for sink in (self._out, self._err):
            if sink.waiting_bytes:
                poll.register(sink.fd, select.POLLOUT)
        for fd, events in poll.poll(self._watch.due_ms()):
            if fd == pipe.fd:
                self._forward(pipe)
            elif fd == self._sock.fileno():
                self._on_socket(events, full)
            elif fd == self._stdin and events & ~select.POLLOUT:
                self._on_stdin()
        self._judge(self._watch.look())
        self._out.flush()
        self._err.flush()
        self._check_outputs()

    def _judge(self, verdict: silence.Verdict) -> None:
        """Tell the user why the guest is silent, and leave when the verdict says so."""
        if self._status is not None:
            return
        if verdict.text:
            way_out = "left" if verdict.status is not None else self._way_out()
            self._say(f"{verdict.text} ({way_out})")
        self._status = verdict.status

    def _way_out(self) -> str:
        return "~. leaves" if self._tty else "Ctrl-C leaves"

    def _say(self, text: str) -> None:
        """Print a line for the user; in raw mode, first end a line that the guest left open."""
        line = f"\r\ngaovm: {text}\r\n" if self._tty else f"gaovm: {text}\n"
        self._err.write(line.encode("utf-8", "replace"))

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
                self._outgoing += streams.encode_json(streams.RESIZE, body)
            else:
                name = signal.Signals(number).name.removeprefix("SIG")
                body_ = {"signal": name}
                self._outgoing += streams.encode_json(streams.SIGNAL, body_)
                if number in _LEAVING:
                    self._on_leaving(number)

    def _on_leaving(self, number: int) -> None:
        self._unanswered += 1
        self._watch.signalled(number)
        if self._unanswered >= _LEAVE_AFTER and self._status is None:
            self._say("the guest did not react to three signals: session left")
            self._status = 128 + number

    def _on_stdin(self) -> None:
        try:
            data = os.read(self._stdin, streams.CHUNK_BYTES)
        except BlockingIOError:
            return
        except OSError:  # closed, or a terminal that hung up
            data = b""
        if not data:
            self._reading = False
            if self._tty:  # in raw mode only a terminal that hung up has an end
                self._status = self._status or LEFT_STATUS
            else:
                self._outgoing += streams.encode(streams.EOF)
            return
        if self._escape is not None:
            data, leaves = self._escape.feed(data)
            if leaves and self._status is None:
                self._say("left")
                self._status = LEFT_STATUS
            self._watch.sent()  # a terminal usually echoes what the user types
        if data:
            self._outgoing += streams.encode(streams.DATA, data)

    def _on_socket(self, events: int, full: bool) -> None:
        if events & select.POLLOUT:
            self._send()
        if events & ~select.POLLOUT and not full:
            self._receive()

    def _send(self) -> None:
        try:
            with memoryview(self._outgoing) as view:
                count = self._sock.send(view[: streams.CHUNK_BYTES])
            del self._outgoing[:count]
        except BlockingIOError:
            return
        except OSError:  # the guest reads no more, but its last output is still to be read
            self._sending = self._reading = False
            self._outgoing.clear()

    def _receive(self) -> None:
        try:
            data = self._sock.recv(streams.CHUNK_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._fail(errors.ConnectionLost("the VM went away before the command ended"))
        self._unanswered = 0
        self._watch.heard()
        for kind, payload in self._decoder.feed(data):
            self._on_frame(kind, payload)
            if self._status is not None:
                return

    def _on_frame(self, kind: int, payload: bytes) -> None:
        if kind == streams.OUTPUT:
            self._out.write(payload)
        elif kind == streams.STDERR:
            self._err.write(payload)
        elif kind == streams.EXIT:
            self._status = streams.exit_status(payload)
        elif kind == streams.ERROR:
            self._fail(streams.error(payload))

    def _fail(self, error: errors.GaoError) -> None:
        """Show what the guest wrote before, then raise the error."""
        if self._pipe is not None:
            self._drain(self._pipe, 0)
        raise error

    def _drain(self, pipe: signals.SignalPipe, status: int) -> int:
        """Write the waiting output; a signal ends this, as the guest's command has ended."""
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
