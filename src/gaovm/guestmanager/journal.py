"""The agent's log: lines of JSON on one stream that stays open."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec

from gaovm import errors
from gaovm.guestmanager.transport.connection import Connection
from gaovm.wire.agent import table
from gaovm.wire.agent.journal import Follow, Line

PATH = table.LOG.path
# The agent's lines have up to 1,000 bytes of text; JSON may need six bytes for one.
MAX_LINE = 16 << 10


async def follow(connection: Connection, level: str, after: int) -> AsyncIterator[list[Line]]:
    """Yield the lines after number ``after``, then each batch until the connection ends.

    From now on the agent keeps lines of ``level`` or worse.

    Raises:
        errors.GuestUnavailable: the connection ended.
        errors.GuestCallFailed: the agent knows no log.
        errors.GuestProtocolError: the answer is not a log.
    """
    async with connection.open("POST", PATH) as stream:
        await stream.write(msgspec.json.encode(Follow(level=level, after=after)), end=True)
        rest = b""
        while chunk := await stream.read():
            if stream.status != 200:
                raise errors.GuestCallFailed(f"{PATH}: status {stream.status}")
            *lines, rest = (rest + chunk).split(b"\n")
            if len(rest) > MAX_LINE:
                raise errors.GuestProtocolError(f"{PATH}: a line of more than {MAX_LINE} bytes")
            yield [_decode(line) for line in lines if line]


def _decode(line: bytes) -> Line:
    try:
        return msgspec.json.decode(line, type=Line)
    except (msgspec.DecodeError, RecursionError) as exc:
        raise errors.GuestProtocolError(f"{PATH}: {exc}") from exc
