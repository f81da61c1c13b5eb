"""The crash matrix: every point of every transition, on the fake hypervisor.

``GAOVM_CRASH_POINTS``, a regular expression, chooses points by their names, as a failure's report
shows them: ``stop / driver.vm.Vm._release:end / hypervisor``; ``.`` chooses all of them.
"""

from __future__ import annotations

import asyncio
import importlib
import itertools
import os
import pkgutil
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import budgets
from tests.crash import document, matrix
from tests.crash.transitions import ALL, Transition
from tests.crash.world import World

import gaovm.daemon
import gaovm.driver
import gaovm.vmmanager
from gaovm.aio import steps

CHOICE = os.environ.get("GAOVM_CRASH_POINTS", "")
LEAST = 300
WORLDS = 4
DRY_RUNS = 3
TRIES = 3
#: One process may start the victim while another reaches the point: it may not exist yet.
MAY_BE_ABSENT = 0.03
#: A dead hypervisor's driver leaves by itself, and may be gone before the test can kill it.
MAY_LEAVE = 3
DOCUMENT = Path(__file__).parents[2] / "docs" / "crash-matrix.md"

pytestmark = pytest.mark.timeout(1500)


@pytest.fixture(scope="module")
def found() -> dict[str, list[matrix.Point]]:
    """Return the points of every transition, from a dry run of each.

    If the machine stalls for seconds, a transition may take another course: look again then.
    """
    result = asyncio.run(_find())
    for _ in range(DRY_RUNS - 1):
        if not _unreached(result):
            break
        again = asyncio.run(_find())
        result = {name: list(dict.fromkeys([*result[name], *again[name]])) for name in result}
    return result


def _unreached(found: dict[str, list[matrix.Point]]) -> set[str]:
    reached = {point.at.rpartition(":")[0] for points in found.values() for point in points}
    return set(registered()) - reached


async def _find() -> dict[str, list[matrix.Point]]:
    groups: dict[tuple[str, bool], list[Transition]] = {}
    for transition in ALL:
        groups.setdefault((transition.group, transition.portable), []).append(transition)
    waiting = list(groups.values())
    result: dict[str, list[matrix.Point]] = {}

    async def work() -> None:
        while waiting:
            before: list[matrix.Point] = []
            group = waiting.pop(0)
            async with World(portable=group[0].portable) as world:
                for transition in group:
                    points = await matrix.points(world, transition)
                    result[transition.name] = matrix.new_steps(transition, points, before)
                    before += points

    async with asyncio.TaskGroup() as workers:
        for _ in range(WORLDS):
            workers.create_task(work())
    return {transition.name: result[transition.name] for transition in ALL}


def registered() -> Iterator[str]:
    """Return every step of the daemon, the driver and what they prepare a start with."""
    importlib.import_module("gaovm.images.store")
    for package in (gaovm.daemon, gaovm.driver, gaovm.vmmanager):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    yield from (name for name in steps.STEPS if not name.startswith(("tests.", "__main__")))


def test_every_step_has_a_point(found: dict[str, list[matrix.Point]]) -> None:
    assert _unreached(found) == set(), "no transition of tests/crash reaches these steps"


def test_there_are_enough_points(
    found: dict[str, list[matrix.Point]], capsys: pytest.CaptureFixture[str]
) -> None:
    count = sum(len(points) for points in found.values())
    struck = sum(len(chosen(points)) for points in found.values())
    with capsys.disabled():
        print(f"\ncrash matrix: {count} points in {len(found)} transitions, {struck} struck")
    assert struck >= LEAST or CHOICE


def test_the_document_lists_what_there_is(found: dict[str, list[matrix.Point]]) -> None:
    text = DOCUMENT.read_text()
    assert document.steps_of(text) == document.steps_of(document.render(found)), (
        "write it anew: python -m tests.crash.document"
    )


def chosen(points: list[matrix.Point]) -> list[matrix.Point]:
    """Return the points that this run strikes.

    If ``GAOVM_CRASH_POINTS`` is set: all that it matches. Otherwise the end of a step is left out
    if another step begins next: nothing lies between the two, and this halves the time. Without
    ``--long`` two victims die at each place: the daemon, and one other, which the names decide.
    """
    if CHOICE:
        return [point for point in points if re.search(CHOICE, str(point))]
    points = _ends_that_count(points)
    if budgets.LONG:
        return points
    victims: dict[str, list[str]] = {}
    for point in points:
        if point.victim != "daemon":
            victims.setdefault(point.at, []).append(point.victim)
    other = {
        at: found[zlib.crc32(f"{points[0].transition}/{at}".encode()) % len(found)]
        for at, found in victims.items()
    }
    return [point for point in points if point.victim in ("daemon", other.get(point.at))]


def _ends_that_count(points: list[matrix.Point]) -> list[matrix.Point]:
    order = list(dict.fromkeys(point.at for point in points))
    following = dict(itertools.pairwise(order))
    return [
        point
        for point in points
        if point.at.endswith(":begin") or not following.get(point.at, "").endswith(":begin")
    ]


@pytest.mark.parametrize("transition", ALL, ids=lambda transition: transition.name)
def test_transition(transition: Transition, found: dict[str, list[matrix.Point]]) -> None:
    points = chosen(found[transition.name])
    bad, absent = asyncio.run(_strike_all(transition, points))
    assert not bad, "\n\n".join(f"{point}\n  " + "\n  ".join(why) for point, why in bad.items())
    assert len(absent) <= MAY_LEAVE + MAY_BE_ABSENT * len(points), absent


async def _strike_all(
    transition: Transition, points: list[matrix.Point]
) -> tuple[dict[matrix.Point, list[str]], list[matrix.Point]]:
    waiting = [(point, 1) for point in points]
    bad: dict[matrix.Point, list[str]] = {}
    absent: list[matrix.Point] = []

    async def work() -> None:
        while waiting:
            async with World(portable=transition.portable) as world:
                while waiting:
                    point, attempt = waiting.pop(0)
                    try:
                        problems = await matrix.strike(world, transition, point)
                    except matrix.Absent:
                        if attempt < TRIES:
                            waiting.append((point, attempt + 1))
                        else:
                            absent.append(point)
                        break  # what was begun may still be under way
                    except Exception as exc:
                        problems = [f"{type(exc).__name__}: {exc}", world.log_tail()]
                    if problems:
                        bad[point] = problems
                        break  # the next point needs a world that is whole

    async with asyncio.TaskGroup() as group:
        for _ in range(WORLDS):
            group.create_task(work())
    return bad, absent
