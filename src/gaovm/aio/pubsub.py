"""One publisher, many subscribers, bounded queues: a slow subscriber never holds anybody up."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Generic, Self, TypeVar

from gaovm import errors

if TYPE_CHECKING:
    from types import TracebackType

T = TypeVar("T")


class Subscription(Generic[T]):
    """What one subscriber has yet to read: an async iterator that ends when the topic is closed.

    Use it as a context manager, or call ``close``.

    Raises (from the iteration):
        errors.TooSlow: more items than the queue holds were waiting; the subscription has ended.
        errors.GaoError: what the topic ended it with.
    """

    def __init__(self, topic: Topic[T], limit: int) -> None:
        self._topic = topic
        self._limit = limit
        self._items: deque[T] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._ended = False
        self._failure: errors.GaoError | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        while not self._items:
            if self._failure is not None:
                raise self._failure
            if self._ended:
                raise StopAsyncIteration
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self._items.popleft()

    def close(self) -> None:
        """End the subscription; unread items are dropped. Idempotent."""
        self._topic.discard(self)
        self._items.clear()
        self.end()

    def offer(self, item: T) -> None:
        """Called by the topic."""
        if len(self._items) >= self._limit:
            self._failure = errors.TooSlow(f"more than {self._limit} items were waiting to be read")
            self._items.clear()
            self._topic.discard(self)
        else:
            self._items.append(item)
        self._wake()

    def end(self, failure: errors.GaoError | None = None) -> None:
        """Called by the topic: no more items will come; ``failure`` is raised after the last."""
        self._ended = True
        self._failure = self._failure or failure
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Topic(Generic[T]):
    """Gives every item to every subscriber there is at that moment."""

    def __init__(self) -> None:
        self._subscriptions: list[Subscription[T]] = []
        self._closed = False

    def __len__(self) -> int:
        return len(self._subscriptions)

    def subscribe(self, limit: int = 1024) -> Subscription[T]:
        """Everything published from now on; at most ``limit`` unread items are kept."""
        subscription = Subscription(self, limit)
        if self._closed:
            subscription.end()
        else:
            self._subscriptions.append(subscription)
        return subscription

    def publish(self, item: T) -> None:
        """Never waits; a subscriber whose queue is full is ended with ``TooSlow``."""
        for subscription in tuple(self._subscriptions):
            subscription.offer(item)

    def discard(self, subscription: Subscription[T]) -> None:
        """Forget a subscriber. Idempotent."""
        if subscription in self._subscriptions:
            self._subscriptions.remove(subscription)

    def end_all(self, failure: errors.GaoError) -> None:
        """End every subscription of now after what is queued; its reader gets ``failure``."""
        while self._subscriptions:
            self._subscriptions.pop().end(failure)

    def close(self) -> None:
        """End every subscription after what is queued. Idempotent."""
        self._closed = True
        while self._subscriptions:
            self._subscriptions.pop().end()
