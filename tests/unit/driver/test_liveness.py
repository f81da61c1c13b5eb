"""The dead man's switch."""

from __future__ import annotations

import asyncio

from gaovm.driver.liveness import Liveness


async def test_silence_is_told_once_after_the_limit() -> None:
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
