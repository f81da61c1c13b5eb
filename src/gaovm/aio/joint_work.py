"""Work that several callers may wait for at once: an ``up``, an image build, a pull.

The first caller begins the work, later callers join. All see the same progress (a newcomer gets the
latest line at once) and the same result. A caller that goes away withdraws. When the last caller
withdraws, and nobody has yet heard that the work served its purpose, the work is cancelled and
undoes itself. After the work has called ``hold`` it goes on alone instead, unless the caller asks
to undo it.

``Operation`` is one piece of work; ``Operations`` finds the running one for a key. Both live in
this process: ``lock_file`` lets processes take turns.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar, cast

from gaovm import errors
from gaovm.aio import tasks

logger = logging.getLogger(__name__)

#: What a caller that goes away can ask of the work.
UNDO, KEEP = "undo", "keep"

Progress = TypeVar("Progress")
Result = TypeVar("Result")


class Operation(Generic[Progress, Result]):
    """One shared piece of work; ``Progress`` is the type of what it reports.

    ``withdrawn``: the work was cancelled because its last caller went away.
    ``abandoned``: every caller has gone away, and the work goes on.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.withdrawn = False
        self.abandoned = False
        self._held = False
        self._listeners: dict[object, Callable[[Progress], None]] = {}
        self._latest: Progress | None = None
        self._marks: dict[str, asyncio.Future[None]] = {}
        self._kept = False
        self._reason: str | None = None
        self._task: asyncio.Task[None] | None = None
        self._result: Result | None = None
        self._error: errors.GaoError | None = None

    def start(self, owner: tasks.TaskOwner, work: Coroutine[Any, Any, Result]) -> None:
        """Begin the work; call this once, before anybody waits.

        Raises:
            errors.InternalError: the owner's block has ended.
        """
        try:
            self._task = owner.start(self._run(work), name=self.name, finishable=True)
        except errors.InternalError:
            work.close()
            raise

    async def _run(self, work: Coroutine[Any, Any, Result]) -> None:
        # A failure is a result like any other: the callers get it, not the task's owner.
        try:
            self._result = await work
        except errors.GaoError as exc:
            self._error = exc
        except Exception as exc:
            self._error = errors.InternalError(f"{self.name}: {exc!r}")
            logger.exception("%s failed", self.name)

    @property
    def done(self) -> bool:
        """Whether the work has ended, including its undoing."""
        return self._task is not None and self._task.done()

    @property
    def ending(self) -> bool:
        """Whether the work was cancelled: nobody may join it any more."""
        return self.withdrawn or self._reason is not None or self.done

    def report(self, progress: Progress) -> None:
        """Tell every caller that waits; the work calls this."""
        self._latest = progress
        for listener in list(self._listeners.values()):
            listener(progress)

    def reach(self, mark: str) -> None:
        """Release the callers that wait only for ``mark``; the work calls this."""
        future = self._mark(mark)
        if not future.done():
            future.set_result(None)

    def keep(self) -> None:
        """Let the work go on after every caller has gone away."""
        self._kept = True

    def hold(self) -> None:
        """Let the work go on, from now on, if the last caller goes away without a wish."""
        self._held = True

    def cancel(self, reason: str) -> None:
        """End the work without undoing it; its callers get ``Cancelled`` with the reason."""
        if self._task is not None and not self.ending:
            self._reason = reason
            self._cancel(self._task)

    async def ended(self) -> None:
        """Return when the work has ended, whatever its result."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def unless_ended(self, sign: Coroutine[Any, Any, Any]) -> None:
        """Return when ``sign`` has come, or when the work has ended, if that is earlier.

        Raises:
            errors.GaoError: the work failed before the sign came.
        """
        waiting = tasks.spawn(sign, name=f"{self.name}: sign")
        try:
            ended = {self._task} if self._task is not None else set()
            await asyncio.wait({waiting, *ended}, return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done() and self._error is not None:
                raise self._error
        finally:
            await tasks.cancel_and_wait(waiting)

    async def wait(
        self, listener: Callable[[Progress], None], until: str | None = None
    ) -> Result | None:
        """Return the result, or None as soon as the work reaches the mark ``until``.

        A caller that is cancelled here withdraws; the last one waits until the work is undone. The
        message of the cancellation, ``undo`` or ``keep``, says which of the two the caller wants.

        Raises:
            errors.Cancelled: something else cancelled the work, for example a stop.
            errors.GaoError: whatever the work raised.
        """
        if self._latest is not None:
            listener(self._latest)
        caller = object()
        self._listeners[caller] = listener
        self.abandoned = False
        try:
            result = await self._outcome(until)
            self._kept = True
            self.abandoned = False
            return result
        except asyncio.CancelledError as exc:
            if self._withdraw(caller, exc.args[0] if exc.args else None):
                await tasks.finish(self.ended())
            raise
        finally:
            self._listeners.pop(caller, None)

    async def result(self, listener: Callable[[Progress], None]) -> Result:
        """Return the result of the whole work; withdraws and raises as ``wait`` does."""
        return cast("Result", await self.wait(listener))

    async def _outcome(self, until: str | None) -> Result | None:
        if self._task is None:
            raise errors.InternalError(f"operation {self.name} was never started")
        if until is None:
            await asyncio.wait([self._task])
        else:
            mark = self._mark(until)
            await asyncio.wait([mark, self._task], return_when=asyncio.FIRST_COMPLETED)
            if mark.done():
                return None
        if self._task.cancelled():
            raise errors.Cancelled(self._reason or f"{self.name} was cancelled")
        if self._error is not None:
            raise self._error
        return self._result

    def _mark(self, name: str) -> asyncio.Future[None]:
        if name not in self._marks:
            self._marks[name] = asyncio.get_running_loop().create_future()
        return self._marks[name]

    def _withdraw(self, caller: object, wish: object) -> bool:
        """Return whether this was the last caller and the work was therefore cancelled."""
        del self._listeners[caller]
        if self._listeners or self._kept or self.ending or self._task is None:
            return False
        if wish == KEEP or (self._held and wish != UNDO):
            self.abandoned = True
            return False
        self.withdrawn = True
        self._cancel(self._task)
        return True

    @staticmethod
    def _cancel(task: asyncio.Task[None]) -> None:
        # Not at once: work that is cancelled before its first step could not undo anything.
        asyncio.get_running_loop().call_soon(task.cancel)


class Operations(Generic[Progress, Result]):
    """The running operations of this process, by key: callers that want the same work join."""

    def __init__(self, name: str) -> None:
        self._owner = tasks.TaskOwner(name)
        self._under_way: dict[str, Operation[Progress, Result]] = {}

    async def join(
        self,
        key: str,
        begin: Callable[[Callable[[Progress], None]], Coroutine[Any, Any, Result]],
        listener: Callable[[Progress], None],
    ) -> Result:
        """Return the result of the work ``key``; ``begin`` makes the work if nobody has begun it.

        ``begin`` gets the function to report progress to. If one caller is cancelled, the work goes
        on for the others. If the last one is cancelled, this ends the work and returns after it has
        cleaned up. A caller that comes meanwhile begins new work.

        Raises:
            errors.Cancelled: ``close`` ended the work.
            errors.GaoError: whatever the work raised.
        """
        operation = self._under_way.get(key)
        if operation is None or operation.ending:
            operation = Operation(key)
            operation.start(self._owner, self._run(operation, begin))
            self._under_way[key] = operation
        return await operation.result(listener)

    async def close(self) -> None:
        """Cancel all work and wait until it has cleaned up."""
        await self._owner.aclose()

    async def _run(
        self,
        operation: Operation[Progress, Result],
        begin: Callable[[Callable[[Progress], None]], Coroutine[Any, Any, Result]],
    ) -> Result:
        try:
            return await begin(operation.report)
        finally:
            if self._under_way.get(operation.name) is operation:
                del self._under_way[operation.name]
