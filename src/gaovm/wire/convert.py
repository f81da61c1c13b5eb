"""From JSON data to the structs of this package, with errors that say who broke the contract."""

from __future__ import annotations

import contextlib
import types
from typing import Any, TypeVar, get_args

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


def decode(kind: type[T], method: str, data: Any) -> T:
    """As ``params``; the message begins with the method and the path of what is wrong.

    Raises:
        errors.InvalidParams: the data does not fit; ``field`` is the path, as in ``user.uid``.
    """
    try:
        return params(data, kind)
    except errors.InvalidParams as exc:
        what, _, path = exc.message.partition(" - at ")
        field = path.strip("`").removeprefix("$.").removeprefix("$") or None
        where = f"{field}: " if field else ""
        raise errors.InvalidParams(f"{method}: {where}{what}", field=field) from exc


def arguments(params: msgspec.Struct) -> dict[str, Any]:
    """The parameters of a call as JSON data.

    A value that equals its default is left out, so that a peer need not know every parameter.
    """
    data: dict[str, Any] = msgspec.to_builtins(params)
    for field in msgspec.structs.fields(params):
        at_default = field.default is not msgspec.NODEFAULT and (
            getattr(params, field.name) == field.default
        )
        if at_default:
            data.pop(field.encode_name, None)
    return data


def reply(method: str, data: Any, into: type[T]) -> T:
    """Decode the result of a call. ``into`` may be a union of structs: the first that fits.

    Raises:
        errors.InvalidReply: the peer's data does not fit; the message has the method and the path.
    """
    kinds: tuple[type[T], ...] = get_args(into) if isinstance(into, types.UnionType) else (into,)
    for kind in kinds[:-1]:
        with contextlib.suppress(msgspec.ValidationError):
            return msgspec.convert(data, kind)
    try:
        return msgspec.convert(data, kinds[-1])
    except msgspec.ValidationError as exc:
        raise errors.InvalidReply(f"{method}: {exc}") from exc
