"""Plain JSON calls: encode the body, send it, check the status, decode the answer."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from gaovm import errors
from gaovm.guestmanager.transport.connection import CALL_LIMIT_S, Connection
from gaovm.wire.agent import table
from gaovm.wire.agent.calls import Refusal

B = TypeVar("B", bound=msgspec.Struct)
A = TypeVar("A", bound=msgspec.Struct)


async def call(
    connection: Connection,
    row: table.Call[B, A],
    body: B | None = None,
    *,
    limit_s: float = CALL_LIMIT_S,
) -> A:
    """Make one call and return its decoded answer.

    Raises:
        errors.GuestCallFailed: the agent refused it; ``details['agent_code']`` says why.
        errors.GuestProtocolError: the answer does not have the type of ``row``.
        errors.GuestUnavailable: the agent did not answer in time.
    """
    data = b"" if body is None else msgspec.json.encode(body)
    status, answer = await connection.call(row.verb, row.path, data, limit_s=limit_s)
    if not 200 <= status < 300:
        raise _refused(row.path, status, answer)
    try:
        return msgspec.json.decode(answer, type=row.answer)
    except (msgspec.DecodeError, RecursionError) as exc:
        raise errors.GuestProtocolError(f"the agent's answer to {row.path}: {exc}") from exc


def failure(code: str, message: str) -> errors.GuestCallFailed:
    """Make the error for a refusal of the agent; cut the guest's text to a sane length."""
    return errors.GuestCallFailed(message[:2000] or code, details={"agent_code": code[:64]})


def _refused(path: str, status: int, answer: bytes) -> errors.GaoError:
    try:
        problem = msgspec.json.decode(answer, type=Refusal).error
    except (msgspec.DecodeError, RecursionError):
        return errors.GuestProtocolError(f"the agent answered {path} with status {status}")
    return failure(problem.code, f"{path}: {problem.message}")
