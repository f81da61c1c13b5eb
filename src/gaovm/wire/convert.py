"""From JSON data to the structs of this package, with errors that say who broke the contract."""

from __future__ import annotations

from typing import Any, TypeVar

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


def reply(method: str, data: Any, into: type[T]) -> T:
    """Decode the result of a call.

    Raises:
        errors.InvalidReply: the peer's data does not fit; the message has the method and the path.
    """
    try:
        return msgspec.convert(data, into)
    except msgspec.ValidationError as exc:
        raise errors.InvalidReply(f"{method}: {exc}") from exc
