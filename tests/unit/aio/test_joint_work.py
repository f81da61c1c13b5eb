"""Shared work: joining, releasing callers at a mark, withdrawing and ending."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from gaovm import errors
from gaovm.aio import joint_work, tasks


@pytest.fixture
async def owner() -> AsyncIterator[tasks.TaskOwner]:
    async with tasks.TaskOwner("test") as made:
        yield made


def silent(_: dict[str, Any]) -> None:
    pass


async def test_the_last_caller_waits_until_the_work_is_cleaned_up(owner: tasks.TaskOwner) -> None:
    undone = asyncio.Event()
    operation: joint_work.Operation[dict[str, Any], int] = joint_work.Operation("x")

    async def work() -> int:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            await asyncio.sleep(0.01)
            undone.set()
            raise
        return 1

    operation.start(owner, work())
    callers = [asyncio.ensure_future(operation.wait(silent)) for _ in range(2)]
    await asyncio.sleep(0)
    callers[0].cancel()
    await asyncio.wait([callers[0]])
    assert not operation.ending
    callers[1].cancel()
    await asyncio.wait([callers[1]])
    assert undone.is_set()
    assert operation.withdrawn and operation.done


async def test_kept_work_outlives_its_callers(owner: tasks.TaskOwner) -> None:
    operation: joint_work.Operation[dict[str, Any], int] = joint_work.Operation("x")
    gate = asyncio.Event()

    async def work() -> int:
        await gate.wait()
        return 7

    operation.start(owner, work())
    operation.keep()
    caller = asyncio.ensure_future(operation.wait(silent))
    await asyncio.sleep(0)
    caller.cancel()
    await asyncio.wait([caller])
    assert not operation.ending
    gate.set()
    assert await operation.wait(silent) == 7


async def test_a_mark_releases_its_callers_and_an_error_reaches_all(owner: tasks.TaskOwner) -> None:
    operation: joint_work.Operation[dict[str, Any], None] = joint_work.Operation("x")
    gate = asyncio.Event()

    async def work() -> None:
        await gate.wait()
        operation.reach("half")
        await asyncio.sleep(0.01)
        raise errors.TimeLimit("late")

    operation.start(owner, work())
    half = asyncio.ensure_future(operation.wait(silent, until="half"))
    other = asyncio.ensure_future(operation.wait(silent, until="never"))
    whole = asyncio.ensure_future(operation.wait(silent))
    await asyncio.sleep(0)
    gate.set()
    await half
    for task in (other, whole):
        with pytest.raises(errors.TimeLimit):
            await task
    with pytest.raises(errors.TimeLimit):
        await operation.wait(silent)


async def test_a_defect_becomes_an_internal_error(
    owner: tasks.TaskOwner, caplog: pytest.LogCaptureFixture
) -> None:
    operation: joint_work.Operation[dict[str, Any], None] = joint_work.Operation("x")

    async def work() -> None:
        raise ZeroDivisionError

    operation.start(owner, work())
    with pytest.raises(errors.InternalError):
        await operation.wait(silent)
    assert "ZeroDivisionError" in caplog.text


async def test_callers_of_cancelled_work_get_the_reason(owner: tasks.TaskOwner) -> None:
    operation: joint_work.Operation[dict[str, Any], None] = joint_work.Operation("x")
    operation.start(owner, asyncio.sleep(3600))
    caller = asyncio.ensure_future(operation.wait(silent))
    await asyncio.sleep(0)
    operation.cancel("because")
    assert operation.ending and not operation.withdrawn
    with pytest.raises(errors.Cancelled, match="because"):
        await caller


async def test_work_cancelled_before_its_first_step_still_cleans_up(
    owner: tasks.TaskOwner,
) -> None:
    operation: joint_work.Operation[dict[str, Any], None] = joint_work.Operation("x")
    undone = False

    async def work() -> None:
        nonlocal undone
        try:
            await asyncio.sleep(3600)
        finally:
            undone = True

    operation.start(owner, work())
    operation.cancel("at once")
    await operation.ended()
    assert undone


async def test_callers_of_one_key_share_work_progress_and_result() -> None:
    work: joint_work.Operations[int, str] = joint_work.Operations("test")
    gate, begun = asyncio.Event(), 0
    heard: tuple[list[int], list[int]] = ([], [])

    async def build(report: Callable[[int], None]) -> str:
        nonlocal begun
        begun += 1
        report(50)
        await gate.wait()
        return "built"

    first = asyncio.ensure_future(work.join("a", build, heard[0].append))
    await asyncio.sleep(0.01)
    second = asyncio.ensure_future(work.join("a", build, heard[1].append))
    await asyncio.sleep(0.01)
    first.cancel()
    await asyncio.wait([first])
    gate.set()
    assert (await second, begun) == ("built", 1)
    assert heard == ([50], [50]), "a newcomer gets the latest progress"
    assert await work.join("a", build, heard[0].append) == "built"
    assert begun == 2, "nobody joins work that has ended"


async def test_a_caller_that_comes_during_clean_up_starts_new_work() -> None:
    work: joint_work.Operations[int, int] = joint_work.Operations("test")
    undoing, undone = asyncio.Event(), asyncio.Event()

    async def hang(_: Callable[[int], None]) -> int:
        try:
            await asyncio.sleep(3600)
        finally:
            undoing.set()
            await undone.wait()
        return 1

    async def again(_: Callable[[int], None]) -> int:
        return 2

    first = asyncio.ensure_future(work.join("a", hang, lambda _: None))
    await asyncio.sleep(0.01)
    first.cancel()
    await undoing.wait()
    assert await work.join("a", again, lambda _: None) == 2
    assert not first.done(), "the last caller waits until its work is cleaned up"
    undone.set()
    await asyncio.wait([first])
    assert first.cancelled()


async def test_closing_ends_all_work_and_informs_its_callers() -> None:
    work: joint_work.Operations[int, None] = joint_work.Operations("test")

    async def hang(_: Callable[[int], None]) -> None:
        await asyncio.sleep(3600)

    callers = [
        asyncio.ensure_future(work.join(key, hang, lambda _: None)) for key in ("a", "a", "b")
    ]
    await asyncio.sleep(0.01)
    await work.close()
    for caller in callers:
        with pytest.raises(errors.Cancelled):
            await caller
    with pytest.raises(errors.InternalError):
        await work.join("a", hang, lambda _: None)
