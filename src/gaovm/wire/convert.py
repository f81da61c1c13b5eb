"""From JSON data to the structs of this package, with errors that say who broke the contract."""

from __future__ import annotations

import contextlib
from typing import Any, TypeVar, cast, get_args

import msgspec

from gaovm import errors

T = TypeVar("T")


def params(data: Any, into: type[T]) -> T:
    """Decode the parameters of a call; None stands for no parameters.

    Raises:
        errors.InvalidParams: the caller's data does not fit; the message has the path.
    """
    try:
        return msgspec.convert({} if data is None else data, into)
    except msgspec.ValidationError as exc:
        raise errors.InvalidParams(str(exc)) from exc


def arguments(params: msgspec.Struct) -> dict[str, Any]:
    """The parameters of a call as JSON data.

    What stands at its default is left out, so that a peer need not know every parameter.
    """
    data: dict[str, Any] = msgspec.to_builtins(params)
    for field in msgspec.structs.fields(params):
        at_default = field.default is not msgspec.NODEFAULT and (
            getattr(params, field.name) == field.default
        )
        if at_default:
            del data[field.encode_name]
    return data


def reply(method: str, data: Any, into: type[T]) -> T:
    """Decode the result of a call. ``into`` may be a union of structs: the first that fits.

    Raises:
        errors.InvalidReply: the peer's data does not fit; the message has the method and the path.
    """
    *others, last = get_args(into) or (into,)
    for kind in others:
        with contextlib.suppress(msgspec.ValidationError):
            return cast("T", msgspec.convert(data, kind))
    try:
        return cast("T", msgspec.convert(data, last))
    except msgspec.ValidationError as exc:
        raise errors.InvalidReply(f"{method}: {exc}") from exc
