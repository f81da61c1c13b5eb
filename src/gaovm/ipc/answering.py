"""Handle incoming calls: refuse them, answer them at once, or answer each in its own task."""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from gaovm import errors

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Mapping

    from gaovm.aio import tasks
    from gaovm.ipc import jsonrpc, peer
    from gaovm.wire import anyjson

logger = logging.getLogger(__name__)

MAX_CALLS = 1024
Context = TypeVar("Context")


class Served(Protocol[Context]):
    """What a connection serves; ``connection.Service`` describes each part."""

    terms: peer.Terms
    handle: Callable[[str, anyjson.Object, Context], Awaitable[Any]]
    immediate: Mapping[str, Callable[[anyjson.Object, Context], Any]]
    gate: Callable[[str], Awaitable[None]] | None


class Answers(Generic[Context]):
    """The incoming calls of one connection that are not answered yet.

    This class calls ``changed`` when there is something to send, and when ``held_bytes`` changes,
    the size of the requests under way.
    """

    def __init__(
        self,
        name: str,
        side: peer.Peer,
        owner: tasks.TaskOwner,
        changed: Callable[[], None],
    ) -> None:
        self.calls: dict[int | str, asyncio.Task[None]] = {}
        self.waiting: dict[int | str, jsonrpc.Request] = {}  # not begun yet
        self.held_bytes = 0
        self._name = name
        self._ended = False
        self._peer = side
        self._owner = owner
        self._changed = changed

    def take(
        self, service: Served[Context], request: jsonrpc.Request, size: int, context: Context
    ) -> None:
        """Answer a request of ``size`` bytes: at once, or later in a task."""
        problem = self._refusal(service, request)
        if problem is not None:
            self._peer.error(request.id, problem)
            return
        immediate = service.immediate.get(request.method)
        if immediate is None:
            work = self._answer(service, request, context)
            task = self._owner.start(work, name=request.method, finishable=True)
            task.add_done_callback(functools.partial(self._on_done, request, size))
            self.calls[request.id] = task
            self.waiting[request.id] = request
            self.held_bytes += size
            return
        try:
            self._peer.result(request.id, immediate(request.params, context))
        except errors.GaoError as exc:
            self._peer.error(request.id, exc)
        except Exception:
            logger.exception("%s: %s failed", self._name, request.method)
            self._peer.error(request.id, _defect(request))

    def cancel(self, request_id: int | str, wish: str | None = None) -> bool:
        """Cancel a call, which cleans up and answers ``cancelled``. False: there is no such call.

        ``wish`` says what the caller wants done with the work; the task gets it as the
        cancellation's message.
        """
        task = self.calls.get(request_id)
        return task is not None and task.cancel(wish)

    def end(self) -> None:
        """Cancel all calls: the connection ends, so no answer can be sent."""
        self._ended = True
        for task in self.calls.values():
            task.cancel()

    def _refusal(
        self, service: Served[Context], request: jsonrpc.Request
    ) -> errors.GaoError | None:
        if len(self.calls) >= MAX_CALLS:
            return errors.TooSlow(f"more than {MAX_CALLS} calls at once")
        if request.id in self.calls:
            return errors.InvalidRequest(f"the id {request.id!s:.100} is in use")
        if service.terms.legacy or request.method in self._peer.served:
            return None  # old clients call methods that hello did not offer
        if request.method in service.terms.offer.capabilities:
            return errors.CapabilityError(f"the hello did not offer {request.method}")
        return errors.UnknownMethod(f"Unknown method: {request.method:.100}")

    async def _answer(
        self, service: Served[Context], request: jsonrpc.Request, context: Context
    ) -> None:
        try:
            if service.gate is not None:
                await service.gate(request.method)
            del self.waiting[request.id]
            result = await service.handle(request.method, request.params, context)
            self._peer.result(request.id, result)
        except errors.GaoError as exc:
            self._peer.error(request.id, exc)
        except Exception:
            logger.exception("%s: %s failed", self._name, request.method)
            self._peer.error(request.id, _defect(request))

    def _on_done(self, request: jsonrpc.Request, size: int, task: asyncio.Task[None]) -> None:
        # a callback, because a task that is cancelled before it begins runs none of its code
        del self.calls[request.id]
        self.waiting.pop(request.id, None)
        self.held_bytes -= size
        if task.cancelled() and not self._ended:
            self._peer.error(request.id, errors.Cancelled(f"{request.method} was cancelled"))
        self._changed()


def _defect(request: jsonrpc.Request) -> errors.InternalError:
    return errors.InternalError(f"{request.method:.100} failed inside GaoVM; see the log")
