"""A JSON-RPC connection without an event loop, for commands that must start fast.

One call at a time. Loads neither asyncio nor msgspec.
"""

from __future__ import annotations

import socket
import time

from gaovm import errors
from gaovm.ipc import jsonrpc, methods, peer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType
    from typing import Any, Protocol

    class Interrupts(Protocol):
        """A source of interrupts: ``fd`` becomes readable, and ``check`` raises the interrupt.

        A signal that arrives just before a system call does not end the call; a readable descriptor
        does. ``then`` says what happens to the work when the call ends early: ``undo``, ``keep``,
        or, if unset, what the other side decides.
        """

        fd: int
        then: str | None

        def check(self) -> None:
            """Raise ``KeyboardInterrupt`` if an interrupt arrived."""


HANDSHAKE_LIMIT_S = 10.0
# how long an interrupted call may take to undo its work
CANCEL_LIMIT_S = 30.0
# how long a working daemon may take to say whether it can undo the call
CANCEL_ANSWER_LIMIT_S = 5.0
_RECV_BYTES = 256 << 10


class BlockingConnection:
    """A connection over a connected socket, which it owns. The constructor does both hellos.

    Without ``withdraw``, the client does not withdraw a call that ends early. That suits queries,
    which have nothing to undo.

    Raises:
        errors.HandshakeError, errors.AuthError, errors.CapabilityError: the hellos do not agree.
        errors.ConnectionLost: the other side went away.
        errors.FrameError: the other side does not speak this protocol.
        errors.TimeLimit: the other side does not answer.
    """

    def __init__(
        self,
        sock: socket.socket,
        terms: peer.Terms,
        *,
        limit_s: float = HANDSHAKE_LIMIT_S,
        withdraw: bool = True,
    ) -> None:
        self._sock = sock
        self._withdraws = withdraw
        self._interrupts: Interrupts | None = None
        self._peer = peer.Peer([terms], first=True)
        self._peer.begin()
        try:
            deadline = time.monotonic() + limit_s
            self._flush(deadline)
            while not self._peer.ready:
                self._step(deadline, None)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> BlockingConnection:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket. Idempotent."""
        self._sock.close()

    def call(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        timeout_s: float | None = None,
        on_progress: Callable[[Mapping[str, Any]], None] | None = None,
        on_notification: Callable[[str, Mapping[str, Any]], None] | None = None,
        interrupts: Interrupts | None = None,
    ) -> Any:
        """Call a method and wait for its end.

        ``on_progress`` gets this call's progress, ``on_notification`` every other notification.
        While it waits, the client watches ``interrupts`` until one arrives. On an interrupt
        (``KeyboardInterrupt``) or at the time limit, the client withdraws the call and waits up to
        30 s until the other side has undone it; then it raises the interrupt.

        Raises:
            errors.Cancelled: an interrupted call was undone.
            errors.ConnectionLost: the connection ended; whether the call had an effect is unknown.
            errors.TimeLimit: no answer in ``timeout_s``; the call may still have its effect, unless
                the message says that it was undone.
            errors.CapabilityError: the other side does not serve the method; nothing was sent.
            errors.InvalidParams: a text in the parameters is not UTF-8; nothing was sent.
            errors.GaoError: the error that the other side answered.
        """
        if method not in self._peer.callable:
            raise errors.CapabilityError(f"the other side does not serve {method}")
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        call, self._interrupts = _Call(on_progress, on_notification), interrupts
        try:
            call.number = self._peer.request(method, params, call)
        except UnicodeEncodeError as exc:
            raise errors.InvalidParams.not_utf8(exc) from exc
        try:
            self._flush(deadline)
            self._wait(call, deadline)
        except errors.TimeLimit as exc:
            self._withdraw(call, interrupts)
            kept = interrupts is not None and interrupts.then == "keep"
            undone = "; it goes on" if kept else "; it was undone"
            undone = undone if isinstance(call.error, errors.Cancelled) else ""
            text = f"{method}: no answer within {timeout_s:g} s{undone}"
            raise errors.TimeLimit(text) from exc
        except KeyboardInterrupt as exc:
            self._withdraw(call, interrupts)
            if isinstance(call.error, errors.Cancelled):
                raise call.error from exc
            raise
        finally:
            self._interrupts = None
            self._peer.forget(call.number)
        if call.error is not None:
            raise call.error
        return call.result

    def wait_closed(self, timeout_s: float | None = None) -> None:
        """Wait until the other side closes the connection.

        Raises:
            errors.TimeLimit: the other side did not close it within ``timeout_s``.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        try:
            while True:
                self._step(deadline, None)
        except errors.ConnectionLost:
            self.close()

    def wait_notification(
        self, on_notification: Callable[[str, Mapping[str, Any]], None], timeout_s: float | None
    ) -> None:
        """Wait for data once and handle it: zero or more notifications.

        Raises:
            errors.TimeLimit: nothing arrived within ``timeout_s``.
            errors.ConnectionLost: the connection ended.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        self._step(deadline, _Call(None, on_notification))

    def _withdraw(self, call: _Call, interrupts: Interrupts | None) -> None:
        """Ask for the call's end and wait a limited time; stop waiting if the call continues."""
        if not self._withdraws or methods.CANCEL not in self._peer.callable:
            return
        self._interrupts = None
        cancel = _Call(None, None)
        began = time.monotonic()
        try:
            params: dict[str, Any] = {"id": call.number}
            if interrupts is not None and interrupts.then is not None:
                params["then"] = interrupts.then
            self._peer.request(methods.CANCEL, params, cancel)
            self._flush(began + CANCEL_ANSWER_LIMIT_S)
            while not (call.done or cancel.done):
                self._step(began + CANCEL_ANSWER_LIMIT_S, call)
            if cancel.result == {"cancelled": True}:
                self._wait(call, began + CANCEL_LIMIT_S)
        except errors.GaoError:  # the caller must see the interrupt instead
            self.close()

    def _wait(self, call: _Call, deadline: float | None) -> None:
        while not call.done:
            self._step(deadline, call)

    def _flush(self, deadline: float | None) -> None:
        output = self._peer.take_output()
        if not output:
            return
        try:
            self._set_limit(deadline)
            self._sock.sendall(b"".join(output))
        except TimeoutError as exc:
            self.close()
            raise errors.TimeLimit("the other side does not read") from exc
        except OSError as exc:
            self.close()
            raise errors.ConnectionLost(f"the connection broke: {exc.strerror or exc}") from exc
        except BaseException:
            self.close()  # the socket may have sent half a frame
            raise

    def _set_limit(self, deadline: float | None) -> None:
        if deadline is None:
            self._sock.settimeout(None)
            return
        left = deadline - time.monotonic()
        if left <= 0:
            raise errors.TimeLimit("the time limit has passed")
        self._sock.settimeout(left)

    def _step(self, deadline: float | None, current: _Call | None) -> None:
        """Receive once and handle the events."""
        if self._interrupts is not None:
            self._wait_readable(self._interrupts, deadline)
        self._set_limit(deadline)
        try:
            data = self._sock.recv(_RECV_BYTES)
        except TimeoutError as exc:
            raise errors.TimeLimit("the time limit has passed") from exc
        except OSError as exc:
            raise errors.ConnectionLost(f"the connection broke: {exc.strerror or exc}") from exc
        if not data:
            raise self._peer.eof().error
        self._peer.feed(data)
        while (event := self._peer.next_event()) is not None:
            self._on_event(event, current, deadline)
        self._flush(deadline)

    def _wait_readable(self, interrupts: Interrupts, deadline: float | None) -> None:
        """Wait until data arrives, the time has passed, or an interrupt raises."""
        import select

        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        poll.register(interrupts.fd, select.POLLIN)
        while True:
            left = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
            ready = [fd for fd, _ in poll.poll(left)]
            if interrupts.fd in ready:
                interrupts.check()
            if not ready or self._sock.fileno() in ready:
                return

    def _on_event(self, event: peer.Event, current: _Call | None, deadline: float | None) -> None:
        if isinstance(event, peer.Reply):
            event.token.finish(event)
        elif isinstance(event, jsonrpc.Notification):
            if current is not None:
                current.on_message(event)
        elif isinstance(event, jsonrpc.Request):
            if event.method == methods.PING:
                self._peer.result(event.id, {"ok": True})
            else:
                unknown = errors.UnknownMethod(f"Unknown method: {event.method}")
                self._peer.error(event.id, unknown)
        elif isinstance(event, peer.Failed):
            try:
                self._flush(deadline)
            finally:
                self.close()
            raise event.error


class _Call:
    """An outgoing call until its end."""

    def __init__(
        self,
        on_progress: Callable[[Mapping[str, Any]], None] | None,
        on_notification: Callable[[str, Mapping[str, Any]], None] | None,
    ) -> None:
        self.number = 0
        self.done = False
        self.result: Any = None
        self.error: errors.GaoError | None = None
        self._on_progress = on_progress
        self._on_notification = on_notification

    def finish(self, reply: peer.Reply) -> None:
        self.done, self.result, self.error = True, reply.result, reply.error

    def on_message(self, message: jsonrpc.Notification) -> None:
        if message.method == methods.PROGRESS:
            if self._on_progress is not None and message.params.get("call") == self.number:
                self._on_progress(message.params)
        elif self._on_notification is not None:
            self._on_notification(message.method, message.params)
