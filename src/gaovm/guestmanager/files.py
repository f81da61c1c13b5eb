"""Copies in and out: raw streams of frames that carry tar, relayed by the caller."""

from __future__ import annotations

from gaovm.guestmanager.connection import Connection
from gaovm.guestmanager.stream import Stream
from gaovm.wire.agent import table


def open_copy_in(connection: Connection) -> Stream:
    """Files into the guest."""
    return connection.open("POST", table.COPY_IN.path)


def open_copy_out(connection: Connection) -> Stream:
    """Files out of the guest."""
    return connection.open("POST", table.COPY_OUT.path)
