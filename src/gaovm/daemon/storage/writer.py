"""The one thread that writes to the database: in call order, many changes in one commit.

All changes of one turn of the event loop are one transaction: after a power cut all of them are on
disk, or none. So a record and the event that reports it need no other care. Turns that gather while
the disk is busy share a commit, so that a burst costs one sync and not hundreds.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import sqlite3
import threading
from collections.abc import Callable
from typing import Any, Protocol

from gaovm import errors
from gaovm.aio import threads
from gaovm.platform import priority

logger = logging.getLogger(__name__)

Work = Callable[[sqlite3.Connection], Any]


class Chores(Protocol):
    """Upkeep that can wait: the writer's thread does it in quiet moments after a first write."""

    def due_s(self) -> float | None:
        """Return the seconds until the next piece of work; None: nothing is planned."""
        ...

    def urgent(self) -> bool:
        """Whether it must not wait for a quiet moment any longer."""
        ...

    def run(self, connection: sqlite3.Connection) -> None:
        """Do one small piece; never raises."""
        ...


class _Change:
    __slots__ = ("future", "result", "work")

    def __init__(self, work: Work, future: asyncio.Future[Any]) -> None:
        self.work = work
        self.future = future
        self.result: Any = None


_Turn = list[_Change]


class _Barrier(_Turn):
    """A turn that changes nothing: once it is set, everything before it has been written."""

    def __init__(self) -> None:
        super().__init__()
        self.passed = threading.Event()


class Writer:
    """Runs changes. ``on_commit`` gets the results of a commit, in order, on the event loop.

    It is called before the awaitables of the same changes are done. ``make_space`` is called when
    the disk is full, and returns whether another try makes sense.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        chores: Chores,
        on_commit: Callable[[list[Any]], None],
        make_space: Callable[[sqlite3.Connection], bool] = lambda _: False,
    ) -> None:
        self._connection = connection
        self._make_space = make_space
        self._chores = chores
        self._on_commit = on_commit
        self._turn: _Turn = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._queue: queue.SimpleQueue[_Turn | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="store", daemon=True)
        self._thread.start()

    def add(self, work: Work) -> asyncio.Future[Any]:
        """Run ``work`` in this turn's transaction; done, with its result, when it is on disk.

        Never waits. Logs a failure, as not every caller awaits.

        Raises (from the awaitable):
            errors.DiskFull, errors.StateCorrupt: nothing of this turn was written.
        """
        loop = asyncio.get_running_loop()
        change = _Change(work, loop.create_future())
        change.future.add_done_callback(_log_failure)
        self._turn.append(change)
        if len(self._turn) == 1:
            self._loop = loop
            loop.call_soon(self._hand_over)
        return change.future

    def _hand_over(self) -> None:
        if self._turn:
            turn, self._turn = self._turn, []
            self._queue.put(turn)

    def drain(self) -> None:
        """Block the caller's thread until everything that was added is on disk."""
        self._hand_over()
        barrier = _Barrier()
        self._queue.put(barrier)
        barrier.passed.wait()

    def close(self) -> None:
        """Write what is left and end the thread. Idempotent."""
        self._hand_over()
        self._queue.put(None)
        self._thread.join()

    # in the writer's thread

    def _run(self) -> None:
        threads.leave_signals()
        with priority.first():  # clients wait for a commit
            self._serve()

    def _serve(self) -> None:
        begun = False
        while True:
            try:
                # Until the first write the caller uses the connection to read every record.
                turn = self._queue.get(timeout=self._chores.due_s() if begun else None)
                begun = True
            except queue.Empty:
                self._chores.run(self._connection)
                continue
            turns, more = [], True
            while turn is not None:
                turns.append(turn)
                try:
                    turn = self._queue.get_nowait()
                except queue.Empty:
                    break
            else:
                more = False
            if turns:
                self._write(turns)
            if not more:
                return
            if self._chores.urgent():
                self._chores.run(self._connection)

    def _write(self, turns: list[_Turn]) -> None:
        changes = [change for turn in turns for change in turn]
        failure: Exception | None = None
        try:
            self._transact_with_space(changes)
        except Exception as exc:  # noqa: BLE001 - the callers of the changes get it
            if len(turns) > 1:
                # one turn that cannot be written must not make the others fail
                for turn in turns:
                    self._write([turn])
                return
            failure = _typed(exc)
        for turn in turns:
            if isinstance(turn, _Barrier):
                turn.passed.set()
        loop = self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended; nobody waits
                loop.call_soon_threadsafe(self._settle, changes, failure)

    def _transact_with_space(self, changes: _Turn) -> None:
        try:
            self._transact(changes)
        except sqlite3.OperationalError as exc:
            if "full" not in str(exc) or not self._make_space(self._connection):
                raise
            self._transact(changes)

    def _transact(self, changes: _Turn) -> None:
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            for change in changes:
                change.result = change.work(connection)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:  # after some failures SQLite has rolled back already
                connection.execute("ROLLBACK")
            raise

    # on the event loop again

    def _settle(self, changes: _Turn, failure: Exception | None) -> None:
        if failure is None:
            try:
                self._on_commit([change.result for change in changes])
            except Exception:
                logger.exception("reporting a commit failed")
        for change in changes:
            if change.future.done():  # its caller was cancelled
                continue
            if failure is None:
                change.future.set_result(change.result)
            else:
                change.future.set_exception(failure)


def _typed(exc: Exception) -> Exception:
    if isinstance(exc, sqlite3.OperationalError):
        if "full" in str(exc):
            return errors.DiskFull(f"the state database cannot be written: {exc}")
        return errors.StateCorrupt(f"the state database cannot be written: {exc}")
    if isinstance(exc, sqlite3.DatabaseError):
        return errors.StateCorrupt(f"the state database is damaged: {exc}")
    return exc


def _log_failure(written: asyncio.Future[Any]) -> None:
    # Not every caller waits, but somebody must see a change that could not be stored.
    if not written.cancelled() and (error := written.exception()) is not None:
        logger.error("not stored: %s", error)
