"""One side of a connection: bytes in, events and bytes out. Pure; both shells use it.

A shell feeds the received bytes, takes events until there are none, and sends ``take_output()``.
This module handles the handshake, refusals and malformed messages itself. A shell sees:

* ``Ready``: both hellos are done, both sides may call;
* ``jsonrpc.Request``, ``jsonrpc.Notification``: from the other side, only after ``Ready``;
* ``Reply``: the end of one of our calls;
* ``Failed``: send the remaining output and close; no event follows.
"""

from __future__ import annotations

from gaovm import errors
from gaovm.ipc import frames, hello, jsonrpc, methods

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, TypeAlias, TypedDict

    from gaovm.wire import anyjson

    class Exported(TypedDict):
        """The state that another process needs to resume; fields as in ``handover.PeerState``."""

        protocol: str | None
        last_id: int
        own_hello: int | str | None
        answered: bool
        accepted: bool
        ready: bool
        callable: tuple[str, ...]
        served: tuple[str, ...]
        unread: bytes


class Terms:
    """The terms under which this side speaks one protocol.

    ``expected_token``: the other side must send it as ``authToken``. ``legacy``: errors have the
    form of ``gaovm.v1.2``, and this side serves calls before the other side has answered our hello.
    ``max_frame_bytes``: the limit for one frame of the other side after the hellos.
    """

    __slots__ = ("expected_token", "legacy", "max_frame_bytes", "offer")

    def __init__(
        self,
        offer: hello.Offer,
        *,
        expected_token: str | None = None,
        legacy: bool = False,
        max_frame_bytes: int = frames.MAX_FRAME_BYTES,
    ) -> None:
        self.offer = offer
        self.expected_token = expected_token
        self.legacy = legacy
        self.max_frame_bytes = max_frame_bytes


class Ready:
    """Both hellos are done."""

    __slots__ = ()


class Reply:
    """The end of one of our calls; ``token`` is the value that ``request`` got."""

    __slots__ = ("error", "result", "token")

    def __init__(self, token: Any, result: Any, error: errors.GaoError | None) -> None:
        self.token = token
        self.result = result
        self.error = error


class Failed:
    """The shell must close the connection."""

    __slots__ = ("error",)

    def __init__(self, error: errors.GaoError) -> None:
        self.error = error


if TYPE_CHECKING:
    Event: TypeAlias = Ready | Reply | Failed | jsonrpc.Request | jsonrpc.Notification

_OWN_HELLO: Any = object()


class Peer:
    """The protocol state of one connection.

    ``first``: this side speaks first and counts its ids upwards; it has exactly one ``Terms``. The
    other side counts downwards and selects its terms by the protocol that the first hello names.
    """

    def __init__(
        self,
        terms: Sequence[Terms],
        *,
        first: bool,
        loads: Callable[[bytes], Any] = frames.decode_json,
        dumps: Callable[[Any], bytes] = frames.encode_json,
    ) -> None:
        self._all_terms = tuple(terms)
        self._terms: Terms | None = terms[0] if first else None
        self._step = 1 if first else -1
        self._last_id = 0
        self._loads = loads
        self._dumps = dumps
        self._decoder = frames.FrameDecoder()
        self.frames = self.frame_bytes = 0
        self._output: list[bytes] = []
        self.output_bytes = 0
        self._pending: dict[jsonrpc.Id | None, Any] = {}
        self._answered = self._accepted = False
        self._failed = False
        self.ready = False
        self.callable: frozenset[str] = frozenset()
        self.served: frozenset[str] = frozenset()
        """``callable``: the methods we may call; ``served``: those the other side may call.
        ``frames``: the number of whole frames received; ``frame_bytes``: the last one's size."""

    @property
    def terms(self) -> Terms:
        """The terms in force.

        Raises:
            errors.HandshakeError: no hello has come yet.
        """
        if self._terms is None:
            raise errors.HandshakeError("no hello has come yet")
        return self._terms

    # output

    def begin(self) -> None:
        """Send the first hello. Only the first speaker calls this, once."""
        self._say_hello()

    def _say_hello(self) -> None:
        self.request(methods.HELLO, self.terms.offer.params(), _OWN_HELLO)

    def take_output(self) -> list[bytes]:
        """Return the output to send now, in order."""
        output, self._output = self._output, []
        self.output_bytes = 0
        return output

    def _put(self, message: anyjson.Object) -> None:
        data = frames.frame(self._dumps(message))
        self._output.append(data)
        self.output_bytes += len(data)

    def request(self, method: str, params: Any, token: Any) -> int:
        """Make a call; its ``Reply`` carries ``token``. Returns its id.

        Raises:
            errors.FrameError: larger than 16 MiB; nothing was sent.
        """
        self._last_id = number = self._last_id + self._step
        self._put(jsonrpc.request(number, method, params))
        self._pending[number] = token
        return number

    def notify(self, method: str, params: Any) -> None:
        """Send a notification.

        Raises:
            errors.FrameError: larger than 16 MiB; nothing was sent.
        """
        self._put(jsonrpc.notification(method, params))

    def result(self, number: jsonrpc.Id, value: Any) -> None:
        """Answer a request. A result that is too large becomes an error answer.

        Raises:
            TypeError, ValueError: the value is not JSON; nothing was sent.
        """
        try:
            self._put(jsonrpc.result(number, value))
        except errors.FrameError as exc:
            self.error(number, errors.InternalError(f"the result is too large: {exc}"))

    def error(self, number: jsonrpc.Id | None, error: errors.GaoError) -> None:
        """Answer a request with an error."""
        # before a hello the protocol is unknown: use the form that every client understands
        terms = self._terms or self._all_terms[-1]
        self._put_error(number, error, legacy=terms.legacy)

    def _put_error(
        self, number: jsonrpc.Id | None, error: errors.GaoError, *, legacy: bool
    ) -> None:
        wire = jsonrpc.legacy_error(error) if legacy else errors.to_wire(error)
        try:
            self._put(jsonrpc.error(number, wire))
        except (errors.FrameError, TypeError, ValueError):  # the error's details cause this
            text = error.message[:4096].encode("ascii", "backslashreplace").decode()
            plain = {"code": error.rpc_code, "message": text}
            self._put(jsonrpc.error(number, plain))

    def forget(self, number: int) -> None:
        """Drop a call for whose answer nobody waits any more."""
        self._pending.pop(number, None)

    def take_pending(self) -> list[Any]:
        """Return the tokens of all calls without an answer, when the connection ends."""
        tokens = [token for token in self._pending.values() if token is not _OWN_HELLO]
        self._pending.clear()
        return tokens

    # handover to another process

    def export(self) -> Exported:
        """Return everything that a peer in another process needs to ``resume`` from here.

        The result has neither output that was not taken, nor our pending calls: the other peer
        drops their answers.
        """
        own_hello = [number for number, token in self._pending.items() if token is _OWN_HELLO]
        return {
            "protocol": None if self._terms is None else self._terms.offer.protocol,
            "last_id": self._last_id,
            "own_hello": own_hello[0] if own_hello else None,
            "answered": self._answered,
            "accepted": self._accepted,
            "ready": self.ready,
            "callable": tuple(sorted(self.callable)),
            "served": tuple(sorted(self.served)),
            "unread": self._decoder.unread(),
        }

    def resume(self, state: Exported) -> None:
        """Resume from another peer's export. Call this instead of ``begin`` and before ``feed``.

        Raises:
            errors.HandshakeError: none of our terms has its protocol.
        """
        protocol = state["protocol"]
        if protocol is not None:
            found = [each for each in self._all_terms if each.offer.protocol == protocol]
            if not found:
                raise errors.HandshakeError(f"this version does not speak {protocol} any more")
            self._terms = found[0]
        self._last_id = state["last_id"]
        if state["own_hello"] is not None:
            self._pending[state["own_hello"]] = _OWN_HELLO
        self._answered, self._accepted = state["answered"], state["accepted"]
        self.callable, self.served = frozenset(state["callable"]), frozenset(state["served"])
        self.ready = state["ready"]
        if self.ready:
            self._decoder.max_size = self.terms.max_frame_bytes
        self._decoder.feed(state["unread"])

    # input

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Take received bytes; ``next_event`` then returns their events."""
        self._decoder.feed(data)

    @property
    def pending_bytes(self) -> int:
        """Return the number of received bytes that do not form a whole frame yet."""
        return self._decoder.pending

    def discard(self) -> None:
        """Drop the received bytes that nobody has taken or will take."""
        self._failed = True
        self._decoder = frames.FrameDecoder()

    def eof(self) -> Failed:
        """Note the end of the stream, and return the failure."""
        self._failed = True
        try:
            self._decoder.eof()
        except errors.FrameError as exc:
            return Failed(exc)
        return Failed(errors.ConnectionLost("the other side closed the connection"))

    def next_event(self) -> Event | None:
        """Return the next event, or None when it needs more bytes."""
        while not self._failed:
            try:
                body = self._decoder.next_frame()
                if body is None:
                    return None
                self.frames += 1
                self.frame_bytes = len(body)
                message = jsonrpc.parse(frames.check_object(self._loads(body)))
            except errors.FrameError as exc:
                return self._fail(exc)
            event = self._on_message(message)
            if event is not None:
                return event
        return None

    def _on_message(self, message: jsonrpc.Message) -> Event | None:
        if type(message) is jsonrpc.Response:
            return self._on_response(message)
        if type(message) is jsonrpc.Request:
            if self.ready and message.method != methods.HELLO:
                return message
            return self._on_early(message)
        if type(message) is jsonrpc.Notification:
            return message if self.ready else None
        if type(message) is jsonrpc.Invalid:
            return self._on_invalid(message)
        return None

    def _on_response(self, response: jsonrpc.Response) -> Event | None:
        token = self._pending.pop(response.id, None)
        if token is None:
            return None  # a late answer, or one to no call
        error = None if response.error is None else errors.from_wire(response.error)
        if token is not _OWN_HELLO:
            return Reply(token, response.result, error)
        try:
            if error is not None:
                raise error
            self.callable = hello.check_result(response.result, self.terms.offer)
        except errors.GaoError as exc:
            if self.ready:  # legacy: the answer does not matter
                return None
            return self._fail(exc)
        self._accepted = True
        return self._check_ready()

    def _on_invalid(self, message: jsonrpc.Invalid) -> Event | None:
        if not message.is_response:
            self.error(message.id, message.error)
            return None
        token = self._pending.pop(message.id, None)
        if token is None:
            return None
        error = errors.InvalidReply(str(message.error))
        return self._fail(error) if token is _OWN_HELLO else Reply(token, None, error)

    def _on_early(self, request: jsonrpc.Request) -> Event | None:
        """Handle a hello, or a call before the hellos are done."""
        if request.method != methods.HELLO:
            text = f"hello handshake required before method {request.method}"
            self.error(request.id, errors.HandshakeError(text))
            return None
        if self._answered:
            self.error(request.id, errors.HandshakeError("hello was sent already"))
            return None
        fallback = self._all_terms[0]
        try:
            fallback = self._pick(hello.protocol_of(request.params))
            result = hello.answer(request.params, fallback.offer, fallback.expected_token)
        except errors.GaoError as exc:
            self._put_error(request.id, exc, legacy=fallback.legacy)
            return self._fail(exc)
        self.result(request.id, result)
        self.served = frozenset(result["acceptedCapabilities"])
        self._answered = True
        if self._terms is None:
            self._terms = fallback
            self._say_hello()
            self._accepted = fallback.legacy
        return self._check_ready()

    def _pick(self, protocol: str) -> Terms:
        """Return the terms of a protocol, or those for the mismatch error."""
        if self._terms is not None:
            return self._terms
        for terms in self._all_terms:
            if terms.offer.protocol == protocol:
                return terms
        for terms in self._all_terms:
            # such as gaovm.v1.1: another version of the old protocol
            if terms.legacy and protocol.startswith("gaovm.v"):
                return terms
        return self._all_terms[0]

    def _check_ready(self) -> Event | None:
        if not (self._answered and self._accepted) or self.ready:
            return None
        self.ready = True
        self._decoder.max_size = self.terms.max_frame_bytes
        return Ready()

    def _fail(self, error: errors.GaoError) -> Failed:
        """Return the failure; drop the error's traceback and causes, which may hold 16 MiB."""
        self._failed = True
        error.__traceback__ = error.__cause__ = error.__context__ = None
        return Failed(error)
