"""Every subscriber gets every item or an error that it was too slow."""

from __future__ import annotations

import asyncio

import pytest

from gaovm import errors
from gaovm.aio import clock, pubsub


async def test_everybody_gets_everything_until_the_end() -> None:
    topic: pubsub.Topic[int] = pubsub.Topic()
    with topic.subscribe() as one, topic.subscribe() as two:
        topic.publish(1)
        topic.publish(2)
        topic.close()
        assert [item async for item in one] == [1, 2]
        assert [item async for item in two] == [1, 2]
    assert [item async for item in topic.subscribe()] == []


async def test_a_waiting_subscriber_is_woken() -> None:
    topic: pubsub.Topic[str] = pubsub.Topic()
    subscription = topic.subscribe()
    waiter = asyncio.ensure_future(anext(subscription))
    await asyncio.sleep(0)
    topic.publish("x")
    assert await waiter == "x"


async def test_a_slow_subscriber_is_dropped_and_delays_nobody() -> None:
    topic: pubsub.Topic[int] = pubsub.Topic()
    slow, good = topic.subscribe(limit=2), topic.subscribe()
    for number in range(3):
        topic.publish(number)
    with pytest.raises(errors.TooSlow):
        await anext(slow)
    assert len(topic) == 1
    assert await anext(good) == 0


async def test_a_closed_subscription_is_forgotten() -> None:
    topic: pubsub.Topic[int] = pubsub.Topic()
    with topic.subscribe() as subscription:
        topic.publish(1)
    assert len(topic) == 0
    assert [item async for item in subscription] == []


def test_timestamps_are_utc_with_milliseconds() -> None:
    stamp = clock.utc_stamp()
    assert len(stamp) == len("2025-01-31T12:34:56.789Z")
    assert stamp.endswith("Z")


async def test_a_reason_follows_the_last_item() -> None:
    topic: pubsub.Topic[int] = pubsub.Topic()
    subscription = topic.subscribe()
    topic.publish(1)
    topic.end_all(errors.TooSlow("cut off"))
    topic.publish(2)
    assert await anext(subscription) == 1
    with pytest.raises(errors.TooSlow, match="cut off"):
        await anext(subscription)
    with topic.subscribe() as later:
        topic.publish(3)
        assert await anext(later) == 3
