"""Tasks have an owner, a name and an expected ending.

``TaskOwner`` ends its tasks when its block ends; ``finish`` runs clean-up to its end although the
caller is cancelled. No other module creates tasks.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Self, TypeVar

from gaovm import errors

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from types import TracebackType

T = TypeVar("T")

logger = logging.getLogger(__name__)


def spawn(work: Coroutine[Any, Any, T], *, name: str) -> asyncio.Task[T]:
    """Start a bare task; the caller must await it or cancel it (``cancel_and_wait``)."""
    return asyncio.get_running_loop().create_task(work, name=name)


async def finish(work: Coroutine[Any, Any, T]) -> T:
    """Run ``work`` to its end even if the caller is cancelled, however often.

    Raises:
        asyncio.CancelledError: the caller was cancelled meanwhile; ``work`` has ended all the same.
    """
    task = spawn(work, name="finish")
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as exc:
            cancelled = exc
    if cancelled is None:
        return task.result()
    if not task.cancelled() and task.exception() is not None:
        logger.error("clean-up failed while it was cancelled", exc_info=task.exception())
    raise cancelled


async def cancel_and_wait(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks and wait until they have ended; drop their exceptions.

    The wait goes on even if the caller is cancelled.
    """
    pending = [task for task in tasks if not task.done()]
    for task in pending:
        task.cancel()
    if pending:
        await finish(_ended(pending))
    for task in tasks:
        if not task.cancelled():
            task.exception()  # mark as retrieved: asyncio does not log it


async def _ended(pending: list[asyncio.Task[Any]]) -> None:
    await asyncio.wait(pending)


async def guard(name: str, work: Coroutine[Any, Any, Any]) -> None:
    """Run work to its end; log its failure and do not pass it on."""
    try:
        await work
    except errors.GaoError as exc:
        logger.warning("%s: %s", name, exc)
    except Exception:
        logger.exception("%s failed", name)


class TaskOwner:
    """Owns tasks: at the end of the block it cancels those that still run and waits for them.

    A task is expected to run until the block ends. If a task that is not ``finishable`` ends by
    itself, the owner cancels the block and raises: the task's exception, or ``InternalError`` if
    the task just returned. A ``finishable`` task may end; its awaiter gets its exception.
    """

    def __init__(self, name: str = "tasks") -> None:
        self.name = name
        self._tasks: set[asyncio.Task[Any]] = set()
        self._parent: asyncio.Task[Any] | None = None
        self._failure: BaseException | None = None
        self._closing = False

    async def __aenter__(self) -> Self:
        self._parent = asyncio.current_task()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()
        failure, self._failure = self._failure, None
        if failure is None:
            return
        if kind is None or (kind is asyncio.CancelledError and self._cancelled_by_us()):
            raise failure

    def _cancelled_by_us(self) -> bool:
        return self._parent is not None and self._parent.uncancel() == 0

    def __len__(self) -> int:
        return len(self._tasks)

    def start(
        self, work: Coroutine[Any, Any, T], *, name: str, finishable: bool = False
    ) -> asyncio.Task[T]:
        """Start a task.

        Raises:
            errors.InternalError: the owner's block has ended.
        """
        if self._closing:
            work.close()
            raise errors.InternalError(f"{self.name}: cannot start {name}, all has been ended")
        task = spawn(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._discard if finishable else self._on_end)
        return task

    async def aclose(self) -> None:
        """Cancel and await all tasks, even if cancelled. Idempotent; no task starts after it."""
        self._closing = True
        await cancel_and_wait(*self._tasks)

    def _discard(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)

    def _on_end(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if self._closing or self._failure is not None:
            return
        exception = None if task.cancelled() else task.exception()
        self._failure = exception or errors.InternalError(
            f"{self.name}: {task.get_name()} ended unexpectedly"
        )
        logger.error("%s: %s ended", self.name, task.get_name(), exc_info=exception)
        if self._parent is not None:
            self._parent.cancel()
