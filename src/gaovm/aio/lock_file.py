"""Wait for a lock file, so that several processes work on one thing one after the other.

``files.Lock`` takes a lock or says that somebody holds it; this module waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from gaovm.aio import threads


@contextlib.asynccontextmanager
async def locked(path: Path, on_wait: Callable[[], None]) -> AsyncIterator[None]:
    """Hold the lock file ``path`` against other processes and other holders in this one.

    ``on_wait`` is called if somebody else holds it. The file stays; the lock ends with the process.
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
    """Block in a separate thread, as flock cannot be interrupted.

    The thread's descriptor shares the lock with ``handle``. If the wait is cancelled and ``handle``
    closed, the thread goes on alone: when it gets the lock it closes its descriptor, which frees
    the lock.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()
    own = os.dup(handle)

    def deliver() -> None:
        if not future.done():
            future.set_result(None)

    def wait() -> None:
        threads.leave_signals()
        fcntl.flock(own, fcntl.LOCK_EX)
        os.close(own)
        with contextlib.suppress(RuntimeError):  # the loop is gone: nobody waits any more
            loop.call_soon_threadsafe(deliver)

    threading.Thread(target=wait, name="lock-file", daemon=True).start()
    await future
