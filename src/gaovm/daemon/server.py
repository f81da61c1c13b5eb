"""What the daemon serves on its socket: our protocol, and beside it the old one.

The first hello of a connection decides. All that is known here of a method is its name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from gaovm import errors
from gaovm.daemon import context, events, service
from gaovm.daemon.legacy import events as legacy_events
from gaovm.daemon.legacy import service as legacy_service
from gaovm.ipc import connection, hello, methods, peer

Translate = Callable[[events.Event], dict[str, Any] | None]
Dispatch = Callable[[context.Context, context.Call, str, Any], Any]


class _Call:
    """One request, as methods see it. Implements ``context.Call``."""

    def __init__(self, side: _Side, request: connection.Context) -> None:
        self._side = side
        self._request = request

    def progress(self, data: dict[str, Any]) -> None:
        self._request.progress(data)

    @property
    def origin(self) -> connection.Context:
        return self._request

    def cancel(self, request_id: int | str) -> bool:
        return self._request.cancel(request_id)

    def subscribe(self) -> None:
        self._side.subscribe(self._request.connection)


class _Side:
    """One protocol: how calls are dispatched and events are written in it."""

    def __init__(self, ctx: context.Context, dispatch: Dispatch, translate: Translate) -> None:
        self._ctx = ctx
        self._dispatch = dispatch
        self._translate = translate
        self._subscribed: set[connection.Connection] = set()

    async def handle(self, method: str, params: dict[str, Any], request: connection.Context) -> Any:
        return await self._dispatch(self._ctx, _Call(self, request), method, params)

    def subscribe(self, client: connection.Connection) -> None:
        if client in self._subscribed:
            return
        self._subscribed.add(client)
        client.on_close(lambda: self._subscribed.discard(client))
        # Subscribed before the answer is sent: nothing that happens after it is missed.
        subscription = self._ctx.hub.events.subscribe()
        client.start(self._follow(client, subscription), name="events")

    async def _follow(self, client: connection.Connection, subscription: events.Feed) -> None:
        with subscription:
            try:
                async for event in subscription:
                    params = self._translate(event)
                    if params is not None:
                        client.notify(methods.EVENT, params)
            except errors.TooSlow as exc:
                client.close(exc)


class Front:
    """Both protocols, ours first, and who has subscribed to events in which."""

    def __init__(self, ctx: context.Context) -> None:
        ours = _Side(ctx, service.dispatch, _as_it_is)
        old = _Side(ctx, legacy_service.dispatch, legacy_events.translate)
        offer = hello.Offer(methods.CONTROL, methods.CONTROL_METHODS)
        old_offer = hello.Offer(methods.LEGACY, legacy_service.CAPABILITIES)
        self._sides = {methods.CONTROL: ours, methods.LEGACY: old}
        enter = ctx.gate.enter
        self.services = [
            connection.Service(peer.Terms(offer), ours.handle, gate=enter),
            connection.Service(peer.Terms(old_offer, legacy=True), old.handle, gate=enter),
        ]

    def cursor(self, client: connection.Connection) -> int | None:
        """The number of the last event that a connection was sent; None: it has not subscribed."""
        return None

    def take_up(self, client: connection.Connection, cursor: int) -> None:
        """Go on with the subscription of a connection that another process had."""
        self._sides[client.protocol].subscribe(client)


def _as_it_is(event: events.Event) -> dict[str, Any]:
    return msgspec.structs.asdict(event)
