"""Tasks end with their owner, and clean-up completes even if it is cancelled."""

from __future__ import annotations

import asyncio

import pytest

from gaovm import errors
from gaovm.aio import tasks


async def test_finish_completes_even_if_cancelled_twice() -> None:
    gate = asyncio.Event()
    done = []

    async def clean_up() -> None:
        await gate.wait()
        done.append(True)

    caller = asyncio.create_task(tasks.finish(clean_up()))
    for _ in range(2):
        await asyncio.sleep(0)
        caller.cancel()
        await asyncio.sleep(0)
    assert not caller.done()
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert done == [True]


async def test_finish_returns_the_result_and_passes_the_exception_on() -> None:
    async def answer() -> int:
        return 3

    async def fail() -> None:
        raise ValueError("x")

    assert await tasks.finish(answer()) == 3
    with pytest.raises(ValueError, match="x"):
        await tasks.finish(fail())


async def test_leaving_the_owner_ends_its_tasks() -> None:
    async with tasks.TaskOwner("t") as owner:
        task = owner.start(asyncio.sleep(60), name="sleeper")
        await asyncio.sleep(0)
    assert task.cancelled()
    with pytest.raises(errors.InternalError):
        owner.start(asyncio.sleep(0), name="late")


async def test_a_task_that_must_run_ends_the_block_when_it_fails() -> None:
    async def fail() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        async with tasks.TaskOwner("t") as owner:
            owner.start(fail(), name="server")
            await asyncio.sleep(60)


async def test_a_task_that_must_run_ends_the_block_when_it_returns() -> None:
    with pytest.raises(errors.InternalError, match="server ended"):
        async with tasks.TaskOwner("t") as owner:
            owner.start(asyncio.sleep(0), name="server")
            await asyncio.sleep(60)


async def test_a_finishable_task_may_end() -> None:
    async with tasks.TaskOwner("t") as owner:
        task = owner.start(asyncio.sleep(0, result=5), name="job", finishable=True)
        assert await task == 5
        await asyncio.sleep(0)
        assert len(owner) == 0


async def test_cancel_and_wait_waits_for_a_slow_task() -> None:
    order = []

    async def slow() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.01)
            order.append("task")

    task = tasks.spawn(slow(), name="slow")
    await asyncio.sleep(0)
    await tasks.cancel_and_wait(task)
    order.append("caller")
    assert order == ["task", "caller"]
