"""Outgoing calls of a connection: each ends with an answer, or with the connection."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from gaovm import errors
from gaovm.ipc import methods

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gaovm.ipc import jsonrpc, peer
    from gaovm.wire import anyjson

# tokens of calls for whose answer nobody waits
_BEAT: Any = object()
_NOBODY: Any = object()


class Calls:
    """The outgoing calls of one connection that wait for their answer.

    This class calls ``changed`` when there is something to send.
    """

    def __init__(self, side: peer.Peer, changed: Callable[[], None]) -> None:
        self._peer = side
        self._changed = changed
        self._listeners: dict[int, Callable[[anyjson.Object], None]] = {}
        #: A function to call when the other side answers a ping of ``beat``.
        self.on_beat: Callable[[], None] | None = None
        #: Why the connection has ended.
        self._ended: errors.GaoError | None = None

    async def call(
        self,
        method: str,
        params: Mapping[str, Any] | None,
        timeout_s: float | None,
        on_progress: Callable[[anyjson.Object], None] | None,
    ) -> Any:
        """Call a method of the other side; see ``Connection.call``."""
        if self._ended is not None:
            raise errors.ConnectionLost(f"the connection has ended: {self._ended}")
        if self._peer.callable and method not in self._peer.callable:
            raise errors.CapabilityError(f"the other side does not serve {method}")
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        number = self._peer.request(method, params, future)
        if on_progress is not None:
            self._listeners[number] = on_progress
        self._changed()
        try:
            if timeout_s is None:
                return await future
            async with asyncio.timeout(timeout_s):
                return await future
        except TimeoutError as exc:
            raise errors.TimeLimit(f"{method}: no answer within {timeout_s:g} s") from exc
        except asyncio.CancelledError:
            if method != methods.CANCEL and methods.CANCEL in self._peer.callable:
                self._withdraw(number)
            raise
        finally:
            self._peer.forget(number)
            self._listeners.pop(number, None)

    def _withdraw(self, number: int) -> None:
        if self._ended is None:
            self._peer.request(methods.CANCEL, {"id": number}, _NOBODY)
            self._changed()

    def beat(self) -> None:
        """Ping the other side; its answer calls ``on_beat``."""
        self._peer.request(methods.PING, {}, _BEAT)

    def answered(self, reply: peer.Reply) -> None:
        """Give an answer to the call that waits for it."""
        future = reply.token
        if future is _BEAT:
            if self.on_beat is not None:
                self.on_beat()
        elif future is _NOBODY or future.done():
            return
        elif reply.error is not None:
            future.set_exception(reply.error)
        else:
            future.set_result(reply.result)

    def progressed(self, message: jsonrpc.Notification) -> bool:
        """Give a notification to the call that it names; False when it names none of ours."""
        if message.method != methods.PROGRESS or not self._listeners:
            return False
        number = message.params.get("call")
        listener = self._listeners.get(number) if type(number) is int else None
        if listener is None:
            return False
        listener(message.params)
        return True

    def end(self, error: errors.GaoError) -> None:
        """End every waiting call with an error, because the connection ends."""
        self._ended = error
        lost = f"the connection ended before the answer: {error}"
        for future in self._peer.take_pending():
            if future is not _BEAT and future is not _NOBODY and not future.done():
                future.set_exception(errors.ConnectionLost(lost))
                future.exception()  # retrieved, even if nobody waits
