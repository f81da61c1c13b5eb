"""A peer broke the protocol."""

from __future__ import annotations

from gaovm.errors.root import GaoError


class ProtocolError(GaoError):
    """The peer broke the protocol."""

    code = "protocol_error"
    rpc_code = -32600
    http_status = 400
    exit_code = 4


class FrameError(ProtocolError):
    """A frame is malformed; the receiver closes the connection without a reply."""

    code = "bad_frame"
    rpc_code = -32700


class InvalidRequest(ProtocolError):
    """The object is not a JSON-RPC request."""

    code = "invalid_request"


class UnknownMethod(ProtocolError):
    """The method does not exist."""

    code = "unknown_method"
    rpc_code = -32601


class InvalidParams(ProtocolError):
    """The parameters do not fit the method."""

    code = "invalid_params"
    rpc_code = -32602
    exit_code = 2

    @classmethod
    def not_utf8(cls, failure: UnicodeEncodeError) -> InvalidParams:
        """Return the error for JSON with a text that is not UTF-8.

        The message quotes only that text: other parts of the JSON may be secret.
        """
        begin = failure.object.rfind('"', 0, failure.start) + 1
        end = failure.object.find('"', failure.start)
        text = failure.object[max(begin, failure.start - 80) : min(end, failure.start + 80)]
        return cls(f"{text!a} is not UTF-8", remedy="use UTF-8 in arguments and directory names")


class HandshakeError(ProtocolError):
    """The protocols differ, or the peer called a method before hello."""

    code = "handshake_failed"
    rpc_code = -32010


class AuthError(ProtocolError):
    """A token or ticket is missing or wrong."""

    code = "auth_failed"
    rpc_code = -32011
    http_status = 401


class CapabilityError(ProtocolError):
    """The peer does not offer a required capability, or called a method it was not offered."""

    code = "capability_missing"
    rpc_code = -32012


class InvalidReply(ProtocolError):
    """The peer's answer is not a valid reply."""

    code = "invalid_reply"
