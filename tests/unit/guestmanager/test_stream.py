"""How much memory one stream uses, and which streams get a wide window."""

from __future__ import annotations

import asyncio
from unittest.mock import Mock

from tests.unit.guestmanager.pairs import Pair

from gaovm.guestmanager import processes
from gaovm.guestmanager.transport import connection, stream
from gaovm.guestmanager.transport.stream import LARGEST, NARROW, Stream


async def test_small_pieces_are_joined() -> None:
    one = Stream(Mock(), 1)
    for _ in range(NARROW // 2):
        one.on_data(b"ab")
    assert len(one._chunks) <= NARROW // LARGEST
    one.on_end()
    found = bytearray()
    while chunk := await one.read():
        found += chunk
    assert found == b"ab" * (NARROW // 2)


async def test_pieces_of_all_sizes_keep_their_order() -> None:
    one, sent = Stream(Mock(), 1), bytearray()
    for number in range(200):
        piece = bytes([number]) * (1 if number % 3 else stream.SMALL + number)
        one.on_data(piece)
        sent += piece
    one.on_end()
    found = bytearray()
    while chunk := await one.read():
        found += chunk
    assert found == sent


async def test_a_reader_that_never_waits_lets_other_tasks_run() -> None:
    one, turns = Stream(Mock(), 1), 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(other())
    for _ in range(16):
        one.on_data(bytes(LARGEST))
    one.on_end()
    while await one.read():
        pass
    beside.cancel()
    assert turns >= 15


async def test_only_some_busy_streams_get_a_wide_window_and_they_return_it() -> None:
    async with Pair() as pair:
        link, _ = await pair.ear.connected.get()
        streams = [processes.open_exec(link) for _ in range(connection.MAX_WIDE + 2)]
        for each in streams:
            link.refill(each.id, NARROW // 4)
        assert [each.wide for each in streams] == [True] * connection.MAX_WIDE + [False] * 2
        streams[0].reset()
        link.refill(streams[-1].id, NARROW // 4)
        assert streams[-1].wide
