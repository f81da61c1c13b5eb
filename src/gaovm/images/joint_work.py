"""One piece of work for all who want it: concurrent builds and pulls of one thing share one.

Inside a process callers join one task and all hear its progress; between processes a lock file
serialises, and who comes second finds the result. When the last one waiting is cancelled the work
is cancelled, and its clean-up is awaited.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from gaovm import errors
from gaovm.aio import tasks
from gaovm.images import progress

T = TypeVar("T")
Start = Callable[[progress.Report], Coroutine[Any, Any, T]]


@dataclass
class _Work(Generic[T]):
    listeners: dict[int, progress.Report] = field(default_factory=dict)
    last: progress.Progress | None = None
    task: asyncio.Task[T | errors.GaoError] | None = None

    def fan_out(self, value: progress.Progress) -> None:
        self.last = value
        for listener in list(self.listeners.values()):
            listener(value)


class Shared(Generic[T]):
    """Work under way in this process, by key."""

    def __init__(self) -> None:
        self._owner = tasks.TaskOwner("images")
        self._work: dict[str, _Work[T]] = {}
        self._tickets = 0

    async def join(self, key: str, start: Start[T], report: progress.Report) -> T:
        """The result of the work ``key``, which ``start`` begins when nobody has yet.

        A joiner hears the latest progress at once. Cancelling one joiner leaves the others their
        work; cancelling the last ends it, and returns when it has cleaned up.
        """
        work = self._work.get(key)
        if work is None:
            work = _Work()
            work.task = self._owner.start(self._run(key, work, start), name=key, finishable=True)
            self._work[key] = work
        if work.task is None:
            raise errors.InternalError(f"image work {key} has no task")
        self._tickets += 1
        ticket = self._tickets
        work.listeners[ticket] = report
        if work.last is not None:
            report(work.last)
        try:
            result = await asyncio.shield(work.task)
        finally:
            del work.listeners[ticket]
            if not work.listeners and not work.task.done():
                # Newcomers begin anew from here on: they wait for the lock, not for what is being
                # undone.
                self._forget(key, work)
                await tasks.cancel_and_wait(work.task)
        if isinstance(result, errors.GaoError):
            raise result
        return result

    async def close(self) -> None:
        """Cancel all work and wait until it has cleaned up."""
        await self._owner.aclose()

    async def _run(self, key: str, work: _Work[T], start: Start[T]) -> T | errors.GaoError:
        """An expected failure is a result: it belongs to the joiners, not into the log."""
        try:
            return await start(work.fan_out)
        except errors.GaoError as exc:
            return exc
        finally:
            self._forget(key, work)

    def _forget(self, key: str, work: _Work[T]) -> None:
        if self._work.get(key) is work:
            del self._work[key]


@contextlib.asynccontextmanager
async def locked(path: Path, on_wait: Callable[[], None]) -> AsyncIterator[None]:
    """Hold the lock file ``path`` against other processes and other holders in this one.

    ``on_wait`` is called when somebody else has it. The file stays; the lock goes with the process.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            await _wait_for_lock(handle)
        yield
    finally:
        os.close(handle)


async def _wait_for_lock(handle: int) -> None:
    """Block in a thread of its own, as flock cannot be interrupted.

    The thread's descriptor shares the lock with ``handle``. When the wait is cancelled and
    ``handle`` closed, the thread is what is left: it closes its own when it gets the lock, which
    frees it.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()
    own = os.dup(handle)

    def deliver() -> None:
        if not future.done():
            future.set_result(None)

    def wait() -> None:
        fcntl.flock(own, fcntl.LOCK_EX)
        os.close(own)
        with contextlib.suppress(RuntimeError):  # the loop is gone: nobody waits any more
            loop.call_soon_threadsafe(deliver)

    threading.Thread(target=wait, name="image-lock", daemon=True).start()
    await future
