"""Connections inside one process: both ends of a socket pair, with both hellos done."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING, Any

from gaovm import errors
from gaovm.ipc import connection, hello, methods, peer
from gaovm.wire import anyjson

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PROTOCOL = "test.v1"


async def refuse(method: str, params: anyjson.Object, context: connection.Request) -> Any:
    """Refuse every method."""
    raise errors.UnknownMethod(f"Unknown method: {method}")


def service(handle: connection.Handler = refuse, *extra: str, **options: Any) -> connection.Service:
    """Return a service for tests: ``hello``, ``ping``, ``call.cancel`` and ``extra``."""
    offer = hello.Offer(PROTOCOL, (methods.HELLO, methods.PING, methods.CANCEL, *extra))
    return connection.Service(peer.Terms(offer), handle, **options)


@contextlib.asynccontextmanager
async def pair(
    first: connection.Service, second: connection.Service
) -> AsyncIterator[tuple[connection.Connection, connection.Connection]]:
    """Yield two connections with each other; both have ended when the block ends."""
    left, right = socket.socketpair()
    async with asyncio.TaskGroup() as group:
        one = group.create_task(connection.connect(left, first, first=True, name="first"))
        two = group.create_task(connection.connect(right, second, first=False, name="second"))
    try:
        yield one.result(), two.result()
    finally:
        await one.result().aclose()
        await two.result().aclose()
