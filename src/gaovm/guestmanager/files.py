"""Copies in and out: raw streams of frames with a tar archive, which the caller relays."""

from __future__ import annotations

from gaovm.guestmanager.transport.connection import Connection
from gaovm.guestmanager.transport.stream import Stream
from gaovm.wire.agent import table


def open_copy_in(connection: Connection) -> Stream:
    """Open the stream of a copy into the guest."""
    return connection.open("POST", table.COPY_IN.path)


def open_copy_out(connection: Connection) -> Stream:
    """Open the stream of a copy out of the guest."""
    return connection.open("POST", table.COPY_OUT.path)
