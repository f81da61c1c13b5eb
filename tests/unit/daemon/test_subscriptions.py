"""Subscriptions replay and then follow without gaps or repeats, and report slow readers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from gaovm import errors
from gaovm.daemon.dispatch import subscriptions
from gaovm.daemon.storage import events, retention, store
from gaovm.ipc import connection, methods
from gaovm.testing import connections
from gaovm.wire import anyjson


class World:
    """An event log, its subscriptions, and both ends of a subscriber's connection."""

    def __init__(self, database: store.Store) -> None:
        self.database = database
        self.log = log = events.Events(database)
        self.feed = subscriptions.Subscriptions(log, self.translate, self.cut_off)
        self.seen: list[tuple[str, anyjson.Object]] = []
        self.arrived = asyncio.Event()
        self.encoded = 0
        self.server: connection.Connection
        self.client: connection.Connection

    def translate(self, event: events.Event) -> anyjson.Object | None:
        self.encoded += 1
        return None if event.type == "secret" else msgspec.structs.asdict(event)

    def cut_off(self, client: connection.Connection, failure: errors.TooSlow) -> None:
        client.notify(methods.EVENT_LAGGED, failure.details)

    def receive(self, method: str, params: anyjson.Object, _: connection.Connection) -> None:
        self.seen.append((method, params))
        self.arrived.set()

    async def until(self, seq: int) -> list[int]:
        """Wait for event ``seq``, then return the numbers seen so far."""
        while not self.seen or self.seen[-1][1]["seq"] < seq:
            self.arrived.clear()
            await self.arrived.wait()
        return [params["seq"] for method, params in self.seen if method == methods.EVENT]

    def emit(self, count: int, size: int = 0) -> asyncio.Future[events.Event]:
        return [self.log.emit("t", None, {"x": "x" * size}) for _ in range(count)][-1]

    def stop_reading(self) -> None:
        self.transport().pause_reading()

    def read_on(self) -> None:
        self.transport().resume_reading()

    def transport(self) -> asyncio.Transport:
        transport = self.client._transport
        assert transport is not None
        return transport


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    database = store.open_store(tmp_path / "state.db")
    made = World(database)
    async with contextlib.AsyncExitStack() as stack:
        listening = connections.service(on_notification=made.receive)
        pair = connections.pair(listening, connections.service())
        made.client, made.server = await stack.enter_async_context(pair)
        yield made
    database.close()


async def test_a_subscription_starts_with_the_next_event(world: World) -> None:
    await world.emit(3)
    world.feed.subscribe(world.server)
    world.emit(3)
    assert await world.until(6) == [4, 5, 6]
    assert world.seen[0][1]["type"] == "t"


@pytest.mark.parametrize("page", [1, 7, 500])
async def test_a_subscription_replays_past_events_and_then_follows(
    world: World, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    monkeypatch.setattr(subscriptions, "PAGE", page)
    await world.emit(50)
    # another object, whose memory is empty
    again = subscriptions.Subscriptions(world.log, world.translate, world.cut_off)
    again.subscribe(world.server, 10)
    for _ in range(50):  # new events come during the replay
        world.emit(1)
        await asyncio.sleep(0)
    assert await world.until(100) == list(range(11, 101))
    assert again.cursors() == {world.server: 100}


async def test_subscribing_again_can_go_back(world: World) -> None:
    world.feed.subscribe(world.server)
    await world.emit(5)
    assert await world.until(5) == [1, 2, 3, 4, 5]
    world.feed.subscribe(world.server)  # without a number, it changes nothing
    world.feed.subscribe(world.server, 3)
    await world.emit(1)
    assert await world.until(6) == [1, 2, 3, 4, 5, 4, 5, 6]


async def test_a_future_event_number_is_refused(world: World) -> None:
    await world.emit(2)
    with pytest.raises(errors.InvalidParams, match="ends at 2") as caught:
        world.feed.subscribe(world.server, 3)
    assert caught.value.details == {"seq": 2, "oldest": 1}


async def test_events_that_are_no_longer_stored_are_skipped(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "QUIET_S", 0.0)
    monkeypatch.setattr(retention, "MAX_EVENTS", 5)
    await world.emit(20)
    while world.log.oldest < 16:
        await world.database.flush()
    again = subscriptions.Subscriptions(world.log, world.translate, world.cut_off)
    again.subscribe(world.server, 3)
    assert await world.until(20) == [16, 17, 18, 19, 20]


async def test_missing_numbers_among_past_events_are_skipped(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscriptions, "KEPT_EVENTS", 5)
    monkeypatch.setattr(subscriptions, "PAGE", 4)
    await world.emit(60)
    gone = "DELETE FROM events WHERE seq BETWEEN 3 AND 20 OR seq BETWEEN 24 AND 58"
    await world.database.write(lambda connection: connection.execute(gone))
    world.feed.subscribe(world.server, 0)
    assert [seq for seq in await world.until(60) if seq < 50] == [1, 2, 21, 22, 23]
    assert not [kind for kind, _ in world.seen if kind == methods.EVENT_LAGGED]


async def test_events_unknown_to_a_protocol_are_not_delivered(world: World) -> None:
    world.feed.subscribe(world.server)
    world.emit(1)
    world.log.emit("secret", None, {})
    world.emit(1)
    assert await world.until(3) == [1, 3]


async def test_an_event_is_encoded_once_for_all_subscribers(world: World) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(5):
            pair = connections.pair(connections.service(), connections.service())
            _, server = await stack.enter_async_context(pair)
            world.feed.subscribe(server)
        world.feed.subscribe(world.server)
        world.emit(10)
        await world.until(10)
        assert world.encoded == 10
    assert set(world.feed.cursors()) == {world.server}


async def test_a_slow_reader_gets_an_error_and_can_resume(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscriptions, "KEPT_EVENTS", 100)
    monkeypatch.setattr(subscriptions, "PIECE_BYTES", 4096)
    world.feed.subscribe(world.server)
    await world.emit(1)
    await world.until(1)
    world.stop_reading()
    for _ in range(40):
        await world.emit(50, size=2000)
    assert world.feed.cursors() == {}
    assert world.server.error is None  # its other calls continue
    world.read_on()
    while world.seen[-1][0] != methods.EVENT_LAGGED:
        world.arrived.clear()
        await world.arrived.wait()
    last = world.seen[-1][1]["seq"]
    numbers = [params["seq"] for method, params in world.seen if method == methods.EVENT]
    assert numbers == list(range(1, last + 1))
    assert last < 2001
    world.feed.subscribe(world.server, last)
    assert await world.until(2001) == list(range(1, 2002))


async def test_a_burst_does_not_make_a_reader_slow(world: World) -> None:
    world.feed.subscribe(world.server)
    await world.emit(subscriptions.KEPT_EVENTS, size=300)
    assert await world.until(subscriptions.KEPT_EVENTS) == list(
        range(1, subscriptions.KEPT_EVENTS + 1)
    )


async def test_replay_waits_for_a_slow_reader(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscriptions, "KEPT_EVENTS", 10)
    monkeypatch.setattr(subscriptions, "PAGE", 100)
    await world.emit(3000, size=1000)
    world.stop_reading()
    world.feed.subscribe(world.server, 0)
    while not world.server.congested:
        await world.emit(1)
    await world.emit(200)
    last = world.log.last
    world.read_on()
    assert await world.until(last) == list(range(1, last + 1))


async def test_events_dropped_before_they_were_read_end_the_subscription(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscriptions, "KEPT_EVENTS", 10)
    await world.emit(100)

    async def pruned(after: int, limit: int) -> list[events.Event]:
        world.log._retention.oldest = 50
        return []

    monkeypatch.setattr(world.log, "read", pruned)
    world.feed.subscribe(world.server, 5)
    while not world.seen:
        world.arrived.clear()
        await world.arrived.wait()
    assert world.seen == [(methods.EVENT_LAGGED, {"seq": 5})]
