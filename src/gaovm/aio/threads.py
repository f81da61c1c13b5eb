"""Threads beside the event loop: they leave signals to the main thread.

``Detached`` runs work that may never return, such as a look into a directory whose server is gone.
It does not use the thread pool of ``asyncio.to_thread``, which other work needs, and the process
does not wait for its threads when it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from gaovm import errors

Result = TypeVar("Result")


def leave_signals() -> None:
    """Block all signals in the calling thread.

    If a signal comes while the main thread blocks it, the signal then stays pending, and an exec
    does not lose it.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())


class Detached:
    """At most ``limit`` threads at a time; a further caller waits until one has ended."""

    def __init__(self, name: str, limit: int) -> None:
        self._name = name
        self._free = asyncio.Semaphore(limit)

    async def run(self, function: Callable[..., Result], *args: Any) -> Result:
        """Return the function's result, or raise what it raises; the loop goes on meanwhile.

        If the caller is cancelled, the thread goes on, and counts until it has ended.

        Raises:
            errors.HostError: the system gives no more threads.
        """
        await self._free.acquire()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()

        def deliver(result: Result | None, failure: BaseException | None) -> None:
            self._free.release()
            if future.done():
                return
            if failure is not None:
                future.set_exception(failure)
            else:
                future.set_result(result)  # type: ignore[arg-type]  # None only if it is one

        def work() -> None:
            result: Result | None = None
            failure: BaseException | None = None
            leave_signals()
            try:
                result = function(*args)
            except BaseException as exc:  # noqa: BLE001  # goes to the caller, whatever it is
                failure = exc
            with contextlib.suppress(RuntimeError):  # the loop is gone: nobody waits any more
                loop.call_soon_threadsafe(deliver, result, failure)

        try:
            threading.Thread(target=work, name=self._name, daemon=True).start()
        except RuntimeError as exc:
            self._free.release()
            raise errors.HostError(f"{self._name}: this system gives no more threads") from exc
        return await future
