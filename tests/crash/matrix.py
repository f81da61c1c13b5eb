"""The matrix: its points, which a dry run finds by halting at every step, and what a point means.

A point is (transition, step's begin or end, victim). The test kills the victim while the process
that reached the step halts there. As in every kill, the zygote is killed with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import zlib
from typing import NamedTuple

from tests.crash import invariants
from tests.crash.settling import settled
from tests.crash.transitions import Outcome, Transition, outcome
from tests.crash.world import Halted, World

VICTIMS = ("daemon", "zygote", "driver", "hypervisor")
#: Time for other processes to go on while one halts.
CALM_S = 0.1
#: A point may come after the client's answer.
LATE_S = 3.0


class Point(NamedTuple):
    """One of the matrix."""

    transition: str
    at: str
    victim: str

    def __str__(self) -> str:
        return f"{self.transition} / {self.at} / {self.victim}"


async def points(world: World, transition: Transition) -> list[Point]:
    """Return every point of a transition, in the order in which things happen."""
    await transition.prepare(world)
    await _drain(world)
    found: dict[Point, None] = {}
    watching = asyncio.create_task(_watch(world, transition, found))
    world.arm("*")
    try:
        await outcome(transition, world)
        await settled(world)
        await asyncio.sleep(LATE_S / 4)
    finally:
        world.arm("")
        watching.cancel()
        await asyncio.wait([watching])
        await _drain(world)
    return list(found)


def new_steps(transition: Transition, found: list[Point], before: list[Point]) -> list[Point]:
    """Return a variant's points in steps that its group lacks so far; else all points."""
    if not transition.variant:
        return found
    known = {
        _step(point) for point in before if point.transition.partition("-")[0] == transition.group
    }
    return [
        point for point in found if _step(point) not in known and point.at.startswith(transition.of)
    ]


def _step(point: Point) -> str:
    return point.at.rpartition(":")[0]


async def _watch(world: World, transition: Transition, found: dict[Point, None]) -> None:
    seen: set[str] = set()
    while True:
        halted = await world.halts.get()
        if halted.point not in seen:
            seen.add(halted.point)
            await asyncio.sleep(CALM_S)
            alive = {process.kind for process in world.processes()}
            for victim in VICTIMS:
                if victim in alive:
                    found[Point(transition.name, halted.point, victim)] = None
        halted.go()


class Absent(Exception):
    """The victim did not exist at that point, this time."""


async def strike(world: World, transition: Transition, point: Point) -> list[str]:
    """Kill exactly there, and return what is wrong afterwards."""
    await _drain(world)
    await settled(world)
    await transition.prepare(world)
    before = invariants.look(world, await world.status())
    first = world.last_seq()
    world.arm(point.at)
    running = asyncio.create_task(outcome(transition, world))
    try:
        halted = await _halted(world, running)
        await _kill(world, point, halted)
        told = await asyncio.wait_for(running, world.limit_s)
    finally:
        world.arm("")
        running.cancel()
        await asyncio.wait([running])
        await _drain(world)
    return await _judge(world, transition, point, told, (before.life == "running", first))


async def _halted(world: World, running: asyncio.Task[Outcome]) -> Halted:
    halting = asyncio.create_task(world.halts.get())
    try:
        await asyncio.wait(
            {halting, running}, return_when=asyncio.FIRST_COMPLETED, timeout=world.limit_s
        )
        await asyncio.wait({halting}, timeout=LATE_S)
        if not halting.done():
            raise Absent("the point was not reached")
        return halting.result()
    finally:
        halting.cancel()


async def _kill(world: World, point: Point, halted: Halted) -> None:
    world.arm("")
    try:
        for _ in range(20):
            if world.kill(point.victim):
                break
            await asyncio.sleep(CALM_S)  # the others go on, and may be about to start it
        else:
            raise Absent(f"there is no {point.victim}")
        world.kill("zygote")
    finally:
        halted.go()


async def _judge(
    world: World, transition: Transition, point: Point, told: Outcome, since: tuple[bool, int]
) -> list[str]:
    was_up, first = since
    problems: list[str] = []
    assert world.daemon is not None
    if point.victim == "daemon":
        await _restart(world)
    state = await settled(world)
    seen = invariants.look(world, state)
    problems += invariants.promised(transition, point.victim, told, seen)
    problems += invariants.events(transition, told, seen, was_up, world.events(first))
    problems += invariants.undisturbed(transition, point.victim, world.events(first))
    problems += await _whole(world)
    if point.victim != "daemon" and not problems and restarts(point):
        world.kill("daemon")
        await _restart(world)
        again = invariants.look(world, await settled(world))
        if again != seen:
            problems.append(f"after a restart of the daemon: {again} instead of {seen}")
        problems += invariants.events(transition, told, again, was_up, world.events(first))
        problems += await _whole(world)
    return problems


def restarts(point: Point) -> bool:
    """Whether to kill and restart the daemon in the end, even if it was not the victim.

    A new daemon must come to rest, whatever happened before: a quarter of the points shows that.
    """
    return zlib.crc32(str(point).encode()) % 4 == 0


async def _restart(world: World) -> None:
    assert world.daemon is not None
    if world.daemon.returncode is None:
        await asyncio.wait_for(world.daemon.wait(), world.limit_s)
    await world.start_daemon()


async def _whole(world: World) -> list[str]:
    """Wait a moment: after a start the daemon mends copies and left-overs in the background."""
    problems: list[str] = []
    for _ in range(100):
        state = await settled(world)
        try:
            problems = list(invariants.whole(world, state))
        except FileNotFoundError as exc:
            problems = [f"{exc.filename} has just been removed"]
        if not problems:
            break
        await asyncio.sleep(CALM_S)
    return problems


async def _drain(world: World) -> None:
    """Release every process that halts."""
    with contextlib.suppress(asyncio.QueueEmpty):
        while True:
            world.halts.get_nowait().go()
