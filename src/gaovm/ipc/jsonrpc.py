"""Convert objects to JSON-RPC 2.0 messages and back, without batches. Pure.

``parse`` never raises: an object that is not a valid message becomes ``Invalid``, which the
receiver answers with -32600.
"""

from __future__ import annotations

from gaovm import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias

    from gaovm.wire import anyjson

    Id: TypeAlias = int | str


class Request:
    """A call that expects an answer."""

    __slots__ = ("id", "method", "params")

    def __init__(self, id: Id, method: str, params: anyjson.Object) -> None:
        self.id = id
        self.method = method
        self.params = params


class Notification:
    """A message that has no answer."""

    __slots__ = ("method", "params")

    def __init__(self, method: str, params: anyjson.Object) -> None:
        self.method = method
        self.params = params


class Response:
    """An answer: ``error`` is the error object, or None if ``result`` is the answer."""

    __slots__ = ("error", "id", "result")

    def __init__(self, id: Id | None, result: Any, error: anyjson.Object | None) -> None:
        self.id = id
        self.result = result
        self.error = error


class Invalid:
    """An object that is not a message; ``id`` is the id for the answer, None if unusable."""

    __slots__ = ("error", "id", "is_response")

    def __init__(self, id: Id | None, error: errors.GaoError, is_response: bool) -> None:
        self.id = id
        self.error = error
        self.is_response = is_response


if TYPE_CHECKING:
    Message: TypeAlias = Request | Notification | Response | Invalid


def parse(message: anyjson.Object) -> Message:
    """Parse the object of a frame."""
    number = message.get("id")
    usable = type(number) is int or type(number) is str
    method = message.get("method")
    is_response = "method" not in message and ("result" in message or "error" in message)
    if message.get("jsonrpc") != "2.0":
        return _invalid(number if usable else None, 'jsonrpc must be "2.0"', is_response)
    if is_response:
        return _response(message, number if usable else None)
    if type(method) is not str or not method:
        return _invalid(number if usable else None, "method must be a string", False)
    if "id" in message and not usable:
        return _invalid(None, "id must be an integer or a string", False)
    if "result" in message or "error" in message:
        return _invalid(number, "a request has no result and no error", False)
    params = message.get("params", _NO_PARAMS)
    if params is _NO_PARAMS:
        params = {}
    elif type(params) is not dict:
        return _bad_params(number, params)
    return Request(number, method, params) if usable else Notification(method, params)  # type: ignore[arg-type]


_NO_PARAMS: Any = object()


def _bad_params(number: Id | None, params: Any) -> Invalid:
    if type(params) is list:  # legal JSON-RPC, but our methods take names
        return Invalid(number, errors.InvalidParams("params must be an object"), False)
    return _invalid(number, "params must be an object", False)


def _invalid(number: Id | None, reason: str, is_response: bool) -> Invalid:
    return Invalid(number, errors.InvalidRequest(f"Invalid request: {reason}"), is_response)


def _response(message: anyjson.Object, number: Id | None) -> Response | Invalid:
    if "error" not in message:
        return Response(number, message["result"], None)
    error = message["error"]
    if "result" in message:
        return _invalid(number, "a response has either a result or an error", True)
    if (
        type(error) is not dict
        or type(error.get("code")) is not int
        or type(error.get("message")) is not str
    ):
        return _invalid(number, "an error has a code and a message", True)
    return Response(number, None, error)


def request(id: Id, method: str, params: Any = None) -> anyjson.Object:
    """Make the object of a request; None as ``params`` leaves them out."""
    message: dict[str, Any] = {"jsonrpc": "2.0", "id": id, "method": method}
    if params is not None:
        message["params"] = params
    return message


def notification(method: str, params: Any = None) -> anyjson.Object:
    """Make the object of a notification."""
    message: dict[str, Any] = {"jsonrpc": "2.0", "method": method}
    if params is not None:
        message["params"] = params
    return message


def result(id: Id, value: Any) -> anyjson.Object:
    """Make the object of an answer without an error."""
    return {"jsonrpc": "2.0", "id": id, "result": value}


def error(id: Id | None, error: anyjson.Object) -> anyjson.Object:
    """Make the object of an error answer; ``id`` is None when the request's id is unknown."""
    return {"jsonrpc": "2.0", "id": id, "error": error}


_LEGACY_CODES = frozenset((-32700, -32600, -32601, -32602, -32603, -32010, -32011, -32012))


def legacy_error(error: errors.GaoError) -> anyjson.Object:
    """Make the error object of ``gaovm.v1.2``: one of its codes, the message, and data if any.

    An error without a code in that protocol becomes an internal error.
    """
    known = error.rpc_code in _LEGACY_CODES
    code = error.rpc_code if known else errors.InternalError.rpc_code
    wire: dict[str, Any] = {"code": code, "message": error.message}
    if error.details:
        wire["data"] = error.details
    return wire
