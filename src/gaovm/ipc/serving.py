"""What one side of a connection serves, and how a call that came in sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gaovm.ipc import methods

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from gaovm.ipc import peer
    from gaovm.ipc.connection import Connection

    Handler = Callable[[str, dict[str, Any], "Context"], Awaitable[Any]]


class Service:
    """What this side serves under one protocol; may be shared by many connections.

    ``handle(method, params, context)`` returns JSON data (msgspec structs too) or raises a
    ``GaoError``. ``immediate``: methods answered without a task, for cheap reads.
    ``on_notification`` gets method, params, connection; ``on_open`` is called after both hellos.
    ``gate`` is awaited before a call that has a task begins; one that waits there has not begun.
    """

    def __init__(
        self,
        terms: peer.Terms,
        handle: Handler,
        *,
        immediate: Mapping[str, Callable[[dict[str, Any], Context], Any]] | None = None,
        on_notification: Callable[[str, dict[str, Any], Connection], None] | None = None,
        on_open: Callable[[Connection], None] | None = None,
        gate: Callable[[str], Awaitable[None]] | None = None,
    ) -> None:
        self.terms = terms
        self.handle = handle
        self.immediate = immediate or {}
        self.on_notification = on_notification
        self.on_open = on_open
        self.gate = gate


class Context:
    """One call that came in."""

    __slots__ = ("connection", "request_id")

    def __init__(self, connection: Connection, request_id: int | str) -> None:
        self.connection = connection
        self.request_id = request_id

    def progress(self, fields: Mapping[str, Any]) -> None:
        """Send a ``progress`` notification for this call; nothing when the caller has gone."""
        self.connection.notify(methods.PROGRESS, {"call": self.request_id, **fields})

    def cancel(self, request_id: int | str) -> bool:
        """Cancel another call of the same connection; False when it is not under way."""
        return self.connection.cancel_call(request_id)
