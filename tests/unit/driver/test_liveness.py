"""The driver's watch over its daemon: it leaves if the daemon stays silent too long."""

from __future__ import annotations

import asyncio
import socket

import pytest

from gaovm.aio import tasks
from gaovm.driver import liveness, main
from gaovm.driver.liveness import Liveness
from gaovm.ipc import connection, hello, methods, peer
from gaovm.testing import connections
from gaovm.wire.driver import table


async def test_silence_is_reported_once_after_the_limit() -> None:
    told: list[bool] = []
    switch = Liveness(lambda: told.append(True), limit_s=0.2)
    switch.start()
    for _ in range(6):
        await asyncio.sleep(0.05)
        switch.touch()
    assert told == []
    await asyncio.sleep(0.6)
    assert told == [True]


async def test_a_stopped_switch_is_silent() -> None:
    told: list[bool] = []
    switch = Liveness(lambda: told.append(True), limit_s=0.05)
    switch.start()
    switch.stop()
    switch.stop()
    await asyncio.sleep(0.15)
    assert told == []


async def test_a_driver_without_its_daemon_exits_with_a_special_status(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(liveness, "LIMIT_S", 0.05)
    ours, theirs = socket.socketpair()
    running = tasks.spawn(main._main(theirs, "token"), name="driver")
    offer = hello.Offer(methods.DRIVER, table.NAMES)
    service = connection.Service(peer.Terms(offer, expected_token="token"), connections.refuse)
    daemon = await connection.connect(ours, service, first=False)
    assert await running == main.ABANDONED
    await daemon.wait_closed()
