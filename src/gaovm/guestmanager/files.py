"""Copies in and out: raw streams of frames that carry tar, relayed by the caller."""

from __future__ import annotations

from gaovm.guestmanager.connection import Connection
from gaovm.guestmanager.stream import Stream

PATH_IN = "/v1/copy/in"
PATH_OUT = "/v1/copy/out"


def open_copy_in(connection: Connection) -> Stream:
    """Files into the guest."""
    return connection.open("POST", PATH_IN)


def open_copy_out(connection: Connection) -> Stream:
    """Files out of the guest."""
    return connection.open("POST", PATH_OUT)
