"""The driver's watch over its daemon: it leaves if the daemon stays silent too long."""

from __future__ import annotations

import asyncio
import socket

import pytest

from gaovm.aio import clock, tasks
from gaovm.driver import liveness, main
from gaovm.driver.liveness import Liveness
from gaovm.ipc import connection, hello, methods, peer
from gaovm.testing import connections
from gaovm.wire.driver import table


async def test_silence_is_told_once_after_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(clock, "monotonic", lambda: now)
    told: list[bool] = []
    heard = asyncio.Event()

    def tell() -> None:
        told.append(True)
        heard.set()

    switch = Liveness(tell, limit_s=0.02)
    switch.start()
    await asyncio.sleep(0.1)  # it looks several times
    now += 0.015
    switch.touch()
    now += 0.015
    await asyncio.sleep(0.1)
    assert told == []
    now += 0.01
    await heard.wait()
    await asyncio.sleep(0.1)
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
