"""A sample of the crash matrix (``tests/crash``) with real QEMU and real guests."""

from __future__ import annotations

import asyncio

import pytest
from tests.crash import matrix
from tests.crash.transitions import ALL
from tests.crash.world import World

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

#: In this order each one leaves the state in which the next one begins.
SAMPLE = (
    matrix.Point("create", "vmmanager.qemu.hypervisor.Hypervisor.start:end", "daemon"),
    matrix.Point("stage", "daemon.config.changes._record:end", "driver"),
    matrix.Point("upgrade", "daemon.upgrading.takeover.Takeover.drivers:begin", "zygote"),
    matrix.Point("stop", "driver.shutdown._ask_agent:begin", "hypervisor"),
    matrix.Point("start", "daemon.lifecycle.waiting.until_answered:begin", "driver"),
    matrix.Point("restart", "daemon.lifecycle.stop._let_driver_go:begin", "daemon"),
    matrix.Point("destroy", "daemon.lifecycle.stop._remove_directories:begin", "daemon"),
)


def test_a_sample_holds_with_real_guests() -> None:
    bad = asyncio.run(_strike_all())
    assert not bad, "\n\n".join(f"{point}\n  " + "\n  ".join(why) for point, why in bad.items())


async def _strike_all() -> dict[matrix.Point, list[str]]:
    transitions = {transition.name: transition for transition in ALL}
    bad: dict[matrix.Point, list[str]] = {}
    async with World(real=True) as world:
        for point in SAMPLE:
            problems = await matrix.strike(world, transitions[point.transition], point)
            if problems:
                bad[point] = problems
                break
    return bad
