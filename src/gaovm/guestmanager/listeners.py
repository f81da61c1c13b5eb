"""The guest's listeners: lines of JSON on one stream that stays open."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec

from gaovm import errors
from gaovm.guestmanager.transport.connection import Connection
from gaovm.wire.agent import table
from gaovm.wire.agent.listeners import Change, Watch

PATH = table.LISTENERS.path
# 1,024 listeners, of which each takes at most 100 bytes.
MAX_LINE = 256 << 10


async def follow(connection: Connection, wanted: Watch) -> AsyncIterator[list[Change]]:
    """Yield all that listens in the guest, then each batch of changes until the connection ends.

    Raises:
        errors.GuestUnavailable: the connection ended.
        errors.GuestCallFailed: the agent reports no listeners.
        errors.GuestProtocolError: the answer is no list of listeners.
    """
    async with connection.open("POST", PATH) as stream:
        await stream.write(msgspec.json.encode(wanted), end=True)
        rest = b""
        while chunk := await stream.read():
            if stream.status != 200:
                raise errors.GuestCallFailed(f"{PATH}: status {stream.status}")
            *lines, rest = (rest + chunk).split(b"\n")
            if len(rest) > MAX_LINE:
                raise errors.GuestProtocolError(f"{PATH}: a line of more than {MAX_LINE} bytes")
            if lines:
                yield [_decode(line) for line in lines if line]
        raise errors.GuestUnavailable(f"{PATH}: the agent ended the stream")


def _decode(line: bytes) -> Change:
    try:
        return msgspec.json.decode(line, type=Change)
    except (msgspec.DecodeError, RecursionError) as exc:
        raise errors.GuestProtocolError(f"{PATH}: {exc}") from exc
