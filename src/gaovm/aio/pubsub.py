"""One publisher, many subscribers, bounded queues: a slow subscriber never delays anybody."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Generic, Self, TypeVar

from gaovm import errors

if TYPE_CHECKING:
    from types import TracebackType

T = TypeVar("T")


class Subscription(Generic[T]):
    """One subscriber's unread items: an async iterator that ends when the topic is closed.

    Use it as a context manager, or call ``close``.

    Raises (from the iteration):
        errors.TooSlow: more unread items waited than the queue holds; the subscription has ended.
        errors.GaoError: the failure with which the topic ended the subscription.
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
        """Add an item; the topic calls this."""
        if len(self._items) >= self._limit:
            self._failure = errors.TooSlow(f"more than {self._limit} items were waiting to be read")
            self._items.clear()
            self._topic.discard(self)
        else:
            self._items.append(item)
        self._wake()

    def end(self, failure: errors.GaoError | None = None) -> None:
        """End after the last item, raising ``failure`` if given; the topic calls this."""
        self._ended = True
        self._failure = self._failure or failure
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Topic(Generic[T]):
    """Gives every item to everybody who subscribes at that moment."""

    def __init__(self) -> None:
        self._subscriptions: list[Subscription[T]] = []
        self._closed = False

    def __len__(self) -> int:
        return len(self._subscriptions)

    def subscribe(self, limit: int = 1024) -> Subscription[T]:
        """Subscribe to what is published from now on; keeps at most ``limit`` unread items."""
        subscription = Subscription(self, limit)
        if self._closed:
            subscription.end()
        else:
            self._subscriptions.append(subscription)
        return subscription

    def publish(self, item: T) -> None:
        """Publish; never waits. A subscriber whose queue is full ends with ``TooSlow``."""
        for subscription in tuple(self._subscriptions):
            subscription.offer(item)

    def discard(self, subscription: Subscription[T]) -> None:
        """Forget a subscriber. Idempotent."""
        if subscription in self._subscriptions:
            self._subscriptions.remove(subscription)

    def end_all(self, failure: errors.GaoError) -> None:
        """End all present subscriptions after their queued items; their readers get ``failure``."""
        while self._subscriptions:
            self._subscriptions.pop().end(failure)

    def close(self) -> None:
        """End every subscription after its queued items. Idempotent."""
        self._closed = True
        while self._subscriptions:
            self._subscriptions.pop().end()
