"""The guest's clock."""

from __future__ import annotations

import msgspec

from gaovm.guestmanager import calls
from gaovm.guestmanager.connection import Connection


class _Offset(msgspec.Struct):
    offset_ns: int = 0


async def set_time(connection: Connection, unix_ns: int) -> int:
    """Set the clock; returns by how many nanoseconds it was wrong."""
    body = {"unix_ns": unix_ns}
    return (await calls.call(connection, "POST", "/v1/clock", _Offset, body)).offset_ns
