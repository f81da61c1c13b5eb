"""Guests that hang, panic and are paused, with a real kernel, watchdog and agent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.world import CONFIG, SHORT_BOOT, World

from gaovm.client import async_client
from gaovm.wire.control.events import Event

WATCHED = CONFIG + (
    f"vmOpts: {{gaovm: {{{SHORT_BOOT}, watchdog: {{device: true, timeout: 5s, WHAT}}}}}}\n"
)
LIMIT_S = 120
AGENT = '$(pgrep -f "^@gaovm-agent")'


class Ear:
    """The daemon's events about one VM, since it was made."""

    def __init__(self, events: AsyncIterator[Event], vm: str) -> None:
        self._events, self._vm = events, vm

    async def until(self, *kinds: str) -> None:
        """Return when one event of each kind has come since the last call, in any order."""
        missing = set(kinds)
        async with asyncio.timeout(LIMIT_S):
            while missing:
                event = await anext(self._events)
                if event.vm == self._vm:
                    missing.discard(event.type)

    async def until_ready(self) -> None:
        """Return when the VM has become ready again."""
        async with asyncio.timeout(LIMIT_S):
            while True:
                event = await anext(self._events)
                payload = event.payload
                if event.vm == self._vm and payload.get("readiness") == "ready":
                    return


@asynccontextmanager
async def listening(world: World, vm: str) -> AsyncIterator[Ear]:
    async with await async_client.connect(world.home) as client:
        yield Ear(aiter(await client.subscribe()), vm)


@pytest.fixture
def make(world: World) -> Iterator[Any]:
    """Make a VM with a policy for hung guests; destroy it at the end."""
    made: list[Path] = []

    def up(name: str, words: str) -> Path:
        project = world.project(name, WATCHED.replace("WHAT", words))
        made.append(project)
        world.run("up", cwd=project, timeout=1200)
        return project

    yield up
    for project in made:
        world.run("destroy", "-y", cwd=project)


def later(world: World, project: Path, script: str) -> None:
    """Make the guest run a script after this command has ended."""
    detached = f"setsid sh -c 'sleep 1; {script}' >/dev/null 2>&1 </dev/null &"
    world.run("exec", "--", "sh", "-c", detached, cwd=project)


async def test_a_silent_guest_is_told_and_so_is_its_return(world: World, make: Any) -> None:
    project = make("hang", "onHang: event")
    stop_and_go = f"p={AGENT}; kill -STOP $p; sleep 12; kill -CONT $p; sleep 4; kill -STOP $p"
    async with listening(world, "hang-dev") as ear:
        later(world, project, f"{stop_and_go}; sleep 12; kill -CONT $p")
        await ear.until("guest.unresponsive", "guest.watchdog")
        await ear.until("guest.responsive")
        await ear.until("guest.watchdog")  # it was armed again
        await ear.until("guest.responsive")
    world.run("exec", "--", "true", cwd=project)
    assert world.json("status", cwd=project)["readiness"] == "ready"


async def test_a_hung_guest_is_paused_and_goes_on(world: World, make: Any) -> None:
    project = make("hold", "onHang: pause, heartbeat: false")  # so that only the device acts
    async with listening(world, "hold-dev") as ear:
        later(world, project, f"p={AGENT}; kill -STOP $p; sleep 7; kill -CONT $p")
        await ear.until("vm.paused")
        status = world.json("status", cwd=project)
        assert (status["paused"], status["observed"]) == (True, "running")
        refused = world.run("exec", "--", "true", cwd=project, check=125)
        assert b"gaovm resume" in refused.stderr
        world.run("resume", cwd=project)
        await ear.until("vm.resumed")
    world.run("pause", cwd=project)
    world.run("pause", cwd=project)
    world.run("resume", cwd=project)
    assert world.run("exec", "--", "echo", "on", cwd=project).stdout == b"on\n"
    first = world.json("status", cwd=project)["hypervisor_pid"]
    async with listening(world, "hold-dev") as ear:
        world.run("exec", "--", "sudo", "reboot", "-ff", cwd=project, check=None)
        await ear.until_ready()
    assert world.json("status", cwd=project)["hypervisor_pid"] == first, "a reboot is no restart"


async def test_a_hung_guest_and_a_panic_are_restarted(world: World, make: Any) -> None:
    project = make("again", "onHang: restart")
    first = world.json("status", cwd=project)["hypervisor_pid"]
    world.run("log-level", "debug", cwd=project)
    async with listening(world, "again-dev") as ear:
        later(world, project, f"kill -STOP {AGENT}")
        await ear.until("driver.restart_scheduled")
        await ear.until_ready()
        second = world.json("status", cwd=project)["hypervisor_pid"]
        later(world, project, "echo c >/proc/sysrq-trigger")
        await ear.until("guest.panicked", "driver.restart_scheduled")
        await ear.until_ready()
    status = world.json("status", cwd=project)
    assert len({first, second, status["hypervisor_pid"]}) == 3
    assert status["restarts"]["attempts"] == 2
    world.run("exec", "--", "true", cwd=project)
    newest = world.run("logs", "--driver", "-n", "9", cwd=project).stdout
    assert b"session: exec" in newest, "the log level is the later drivers' too"
