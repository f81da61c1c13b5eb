"""Shared work: joiners, marks, withdrawal, endings."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
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


async def test_the_last_caller_waits_until_the_work_is_undone(owner: tasks.TaskOwner) -> None:
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


async def test_a_mark_lets_go_and_an_error_reaches_everybody(owner: tasks.TaskOwner) -> None:
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


async def test_cancel_tells_the_reason(owner: tasks.TaskOwner) -> None:
    operation: joint_work.Operation[dict[str, Any], None] = joint_work.Operation("x")
    operation.start(owner, asyncio.sleep(3600))
    caller = asyncio.ensure_future(operation.wait(silent))
    await asyncio.sleep(0)
    operation.cancel("because")
    assert operation.ending and not operation.withdrawn
    with pytest.raises(errors.Cancelled, match="because"):
        await caller


async def test_work_cancelled_before_its_first_step_still_undoes_itself(
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
