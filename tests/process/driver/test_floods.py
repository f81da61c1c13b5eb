"""A hostile agent: whatever it sends, its driver stays small, answers, and takes the next one."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.process.driver.harness import Link, Session, Zygote, resident_kib
from tests.process.driver.test_health import Vm, control, zygote
from tests.process.driver.test_lifecycle import up

from gaovm.testing import floods

# The agent has to read the rest of the flood first, which takes as long as the machine is busy.
STOP = {"grace_s": 30, "force_s": 5}

__all__ = ["control", "zygote"]
VOLUME = 1 << 20
LIMIT_KIB = 64 << 10
SESSIONS = 8


async def _open(link: Link) -> list[Session]:
    """Start commands whose output nobody reads."""
    sessions = [await Session.open(link, "exec") for _ in range(SESSIONS)]
    for session in sessions:
        await session.send(1, b'{"argv":["/bin/cat"]}')
    return sessions


@pytest.mark.parametrize("name", floods.NAMES)
async def test_a_flood_is_borne_and_the_next_agent_is_heard(
    zygote: Zygote, base: Path, control: Path, name: str
) -> None:
    link = await up(zygote, base)
    await link.until(readiness="ready")
    pid = (await link.call("vm.status"))["hypervisor_pid"]
    sessions = await _open(link)
    told = len(link.states)
    Vm(link, control, pid).order(flood=name, bytes=VOLUME)
    back = asyncio.create_task(link.until(after=told, readiness="ready", limit_s=60))
    while not back.done():
        await link.call("vm.status")  # the driver answers all the time
        await asyncio.wait([back], timeout=0.05)
    await back
    assert resident_kib(link.pid, "VmHWM") < LIMIT_KIB
    session = await Session.open(link, "exec")
    assert (await session.exec(["/bin/echo", "again"]))[1] == b"again\n"
    for session in sessions:
        session.close()
    assert (await link.call("vm.stop", STOP))["how"] == "agent"
