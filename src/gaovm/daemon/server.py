"""Serve both protocols on the daemon's socket: ours, and the one of old clients.

A connection's first hello chooses. This module knows nothing of a method but its name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from gaovm import errors
from gaovm.daemon.dispatch import context, service, subscriptions
from gaovm.daemon.legacy import events as legacy_events
from gaovm.daemon.legacy import service as legacy_service
from gaovm.daemon.storage import events
from gaovm.ipc import connection, hello, methods, peer
from gaovm.wire import anyjson
from gaovm.wire.control import table
from gaovm.wire.control.progress import Progress

#: The largest request is an `up` with its config file, of at most 256 KiB before it is quoted.
MAX_REQUEST_BYTES = 2 << 20

Dispatch = Callable[[context.Daemon, context.Call, str, Any], Any]


class _Call:
    """One request, as methods see it. Implements ``context.Call``."""

    def __init__(self, side: _Side, request: connection.Request) -> None:
        self._side = side
        self._request = request

    def progress(self, data: Progress) -> None:
        self._request.progress(msgspec.to_builtins(data))

    @property
    def origin(self) -> connection.Request:
        return self._request

    def cancel(self, request_id: int | str, wish: str | None = None) -> bool:
        return self._request.cancel(request_id, wish)

    def subscribe(self, since: int | None = None) -> None:
        self._side.feed.subscribe(self._request.connection, since)


class _Side:
    """One protocol: how it dispatches calls and writes events."""

    def __init__(
        self, ctx: context.Daemon, dispatch: Dispatch, feed: subscriptions.Subscriptions
    ) -> None:
        self._ctx = ctx
        self._dispatch = dispatch
        self.feed = feed

    async def handle(self, method: str, params: anyjson.Object, request: connection.Request) -> Any:
        return await self._dispatch(self._ctx, _Call(self, request), method, params)


class Front:
    """Both protocols, ours first, and their subscribers."""

    def __init__(self, ctx: context.Daemon) -> None:
        log = ctx.fleet.events
        ours = _Side(ctx, service.dispatch, subscriptions.Subscriptions(log, _as_it_is, _tell))
        old_feed = subscriptions.Subscriptions(
            log, legacy_events.translate, connection.Connection.close
        )
        old = _Side(ctx, legacy_service.dispatch, old_feed)
        offer = hello.Offer(methods.CONTROL, (methods.HELLO, *table.METHODS))
        old_offer = hello.Offer(methods.LEGACY, legacy_service.CAPABILITIES)
        self._feeds = {methods.CONTROL: ours.feed, methods.LEGACY: old.feed}
        enter = ctx.upgrade_gate.enter
        terms = peer.Terms(offer, max_frame_bytes=MAX_REQUEST_BYTES)
        self.services = [
            connection.Service(terms, ours.handle, gate=enter),
            connection.Service(peer.Terms(old_offer, legacy=True), old.handle, gate=enter),
        ]

    def cursor(self, client: connection.Connection) -> int | None:
        """Return the number of the last event that a connection got; None: no subscription."""
        found = [feed.cursors().get(client) for feed in self._feeds.values()]
        return next((cursor for cursor in found if cursor is not None), None)

    def take_up(self, client: connection.Connection, cursor: int) -> None:
        """Go on with the subscription of a connection that another process had."""
        self._feeds[client.protocol].subscribe(client, cursor)


def _as_it_is(event: events.Event) -> anyjson.Object:
    return msgspec.structs.asdict(event)


def _tell(client: connection.Connection, failure: errors.TooSlow) -> None:
    """Tell a client that its subscription ended; its connection may have calls under way."""
    params = {"seq": failure.details["seq"], "error": errors.to_wire(failure)}
    client.notify(methods.EVENT_LAGGED, params)
