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
    """A frame is malformed: the connection is closed without a reply."""

    code = "bad_frame"
    rpc_code = -32700


class InvalidRequest(ProtocolError):
    """An object that is no JSON-RPC request."""

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
        """The error for JSON with a text that is not UTF-8; names that text alone.

        Its neighbours in the JSON may be secret.
        """
        begin = failure.object.rfind('"', 0, failure.start) + 1
        end = failure.object.find('"', failure.start)
        text = failure.object[max(begin, failure.start - 80) : min(end, failure.start + 80)]
        return cls(f"{text!a} is not UTF-8", remedy="arguments and directories have to be")


class HandshakeError(ProtocolError):
    """Protocols differ, or a method was called before hello."""

    code = "handshake_failed"
    rpc_code = -32010


class AuthError(ProtocolError):
    """Missing or wrong token or ticket."""

    code = "auth_failed"
    rpc_code = -32011
    http_status = 401


class CapabilityError(ProtocolError):
    """A required capability is not offered, or a method outside the accepted ones was called."""

    code = "capability_missing"
    rpc_code = -32012


class InvalidReply(ProtocolError):
    """The peer answered something that is no valid reply."""

    code = "invalid_reply"
