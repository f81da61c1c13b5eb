"""One side of a connection: bytes in, events and bytes out. Pure; both shells stand on it.

A shell feeds what it received, takes events until there are none, and sends ``take_output()``.
The handshake, refusals and malformed messages are dealt with here; a shell sees:

* ``Ready``: both hellos are done, calls may go both ways;
* ``jsonrpc.Request``, ``jsonrpc.Notification``: from the other side, only after ``Ready``;
* ``Reply``: the end of a call of ours;
* ``Failed``: send what is left to send and close; nothing follows.
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
        """What another process needs to go on; ``handover.PeerState`` has the same fields."""

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
    """On what terms one protocol is spoken.

    ``expected_token``: what the other side must send as ``authToken``. ``legacy``: errors have the
    form of ``gaovm.v1.2``, and calls are served before the other side has answered our hello.
    ``max_frame_bytes``: what the other side may send in one frame after the hellos.
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
    """How a call of ours ended; ``token`` is what ``request`` was given."""

    __slots__ = ("error", "result", "token")

    def __init__(self, token: Any, result: Any, error: errors.GaoError | None) -> None:
        self.token = token
        self.result = result
        self.error = error


class Failed:
    """The connection must be closed."""

    __slots__ = ("error",)

    def __init__(self, error: errors.GaoError) -> None:
        self.error = error


if TYPE_CHECKING:
    Event: TypeAlias = Ready | Reply | Failed | jsonrpc.Request | jsonrpc.Notification

_OWN_HELLO: Any = object()


class Peer:
    """The protocol state of one connection.

    ``first``: this side speaks first (exactly one ``Terms`` then) and counts its ids upwards. The
    other side counts downwards and picks the terms by the protocol that the first hello names.
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
        """``callable``: what we may call on the other side; ``served``: what it may call on us.
        ``frames``: how many came whole; ``frame_bytes``: the size of the last of them."""

    @property
    def terms(self) -> Terms:
        """The terms in force.

        Raises:
            errors.HandshakeError: no hello has come yet.
        """
        if self._terms is None:
            raise errors.HandshakeError("no hello has come yet")
        return self._terms

    # bytes out

    def begin(self) -> None:
        """Say hello first; for the first speaker, once."""
        self._say_hello()

    def _say_hello(self) -> None:
        self.request(methods.HELLO, self.terms.offer.params(), _OWN_HELLO)

    def take_output(self) -> list[bytes]:
        """What is to be sent now, in order."""
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
        """Answer a request. A result that cannot be sent becomes an error answer.

        Raises:
            TypeError, ValueError: the value is no JSON; nothing was sent.
        """
        try:
            self._put(jsonrpc.result(number, value))
        except errors.FrameError as exc:
            self.error(number, errors.InternalError(f"the result is too large: {exc}"))

    def error(self, number: jsonrpc.Id | None, error: errors.GaoError) -> None:
        """Answer a request with an error."""
        # before a hello nobody knows the protocol: the form that every client understands
        terms = self._terms or self._all_terms[-1]
        self._put_error(number, error, legacy=terms.legacy)

    def _put_error(
        self, number: jsonrpc.Id | None, error: errors.GaoError, *, legacy: bool
    ) -> None:
        wire = jsonrpc.legacy_error(error) if legacy else errors.to_wire(error)
        try:
            self._put(jsonrpc.error(number, wire))
        except (errors.FrameError, TypeError, ValueError):  # its details are to blame
            text = error.message[:4096].encode("ascii", "backslashreplace").decode()
            plain = {"code": error.rpc_code, "message": text}
            self._put(jsonrpc.error(number, plain))

    def forget(self, number: int) -> None:
        """Drop a call whose answer nobody wants any more."""
        self._pending.pop(number, None)

    def take_pending(self) -> list[Any]:
        """The tokens of all calls that will get no answer now; for the end of the connection."""
        tokens = [token for token in self._pending.values() if token is not _OWN_HELLO]
        self._pending.clear()
        return tokens

    # another process goes on

    def export(self) -> Exported:
        """Everything that a peer in another process needs to go on from here, by ``resume``.

        Output that was not taken is not in it. Calls of ours that are pending are not either: an
        answer to them will be dropped.
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
        """Go on from what another peer exported; instead of ``begin``, before anything is fed.

        Raises:
            errors.HandshakeError: none of our terms has its protocol.
        """
        protocol = state["protocol"]
        if protocol is not None:
            found = [each for each in self._all_terms if each.offer.protocol == protocol]
            if not found:
                raise errors.HandshakeError(f"the protocol {protocol} is not spoken any more")
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

    # bytes in

    def feed(self, data: bytes | bytearray | memoryview) -> None:
        """Take received bytes; ``next_event`` then has what they mean."""
        self._decoder.feed(data)

    @property
    def pending_bytes(self) -> int:
        """How many bytes came that make no whole frame yet."""
        return self._decoder.pending

    def discard(self) -> None:
        """Drop what came and was not taken: nothing of it will be."""
        self._failed = True
        self._decoder = frames.FrameDecoder()

    def eof(self) -> Failed:
        """The stream has ended; why that matters."""
        self._failed = True
        try:
            self._decoder.eof()
        except errors.FrameError as exc:
            return Failed(exc)
        return Failed(errors.ConnectionLost("the other side closed the connection"))

    def next_event(self) -> Event | None:
        """The next event, or None when more bytes are needed."""
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
            return None  # late, or to nothing
        error = None if response.error is None else errors.from_wire(response.error)
        if token is not _OWN_HELLO:
            return Reply(token, response.result, error)
        try:
            if error is not None:
                raise error
            self.callable = hello.check_result(response.result, self.terms.offer)
        except errors.GaoError as exc:
            if self.ready:  # legacy: its answer does not matter
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
        """A hello, or a call before hello is done."""
        if request.method != methods.HELLO:
            text = f"hello handshake required before method {request.method}"
            self.error(request.id, errors.HandshakeError(text))
            return None
        if self._answered:
            self.error(request.id, errors.HandshakeError("hello was said already"))
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
        """The terms of a protocol, or those to say a mismatch in."""
        if self._terms is not None:
            return self._terms
        for terms in self._all_terms:
            if terms.offer.protocol == protocol:
                return terms
        for terms in self._all_terms:
            # gaovm.v1.1 and the like: another version of the old protocol
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
        """An error that is kept; what it was raised of, up to 16 MiB, is not."""
        self._failed = True
        error.__traceback__ = error.__cause__ = error.__context__ = None
        return Failed(error)
