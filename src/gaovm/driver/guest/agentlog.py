"""``agent.log``: what the guest's agent reports of itself, within limits.

Do not trust the guest: this module cuts lines and removes control characters. It reads a guest that
writes without end slowly; such a guest loses lines that it cannot keep meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import msgspec

from gaovm import errors
from gaovm.aio import clock, logs, tasks
from gaovm.guestmanager import journal
from gaovm.guestmanager.transport.connection import Connection
from gaovm.wire.agent.journal import Line

logger = logging.getLogger(__name__)
MAX_MESSAGE = 2000
# A line from before the host listened keeps its own time, if it is not older than this.
MAX_AGE_MS = 3_600_000
PER_SECOND = 500
_CONTROL = {code: " " for code in (*range(32), 127, *range(128, 160), 0x2028, 0x2029)}


class AgentLog:
    """Follows the journal of one guest's agent, over all its connections."""

    def __init__(self, path: Path, vm: str, owner: tasks.TaskOwner) -> None:
        self._path, self._vm, self._owner = path, vm, owner
        self._file: logs.RotatingFile | None = None
        self._task: asyncio.Task[None] | None = None
        self._connection: Connection | None = None
        self._agent: object = None
        self._after = 0

    def begin(self, connection: Connection, agent: object) -> None:
        """Follow on a new connection. A different ``agent`` begins a new journal."""
        if agent != self._agent:
            self._agent, self._after = agent, 0
        self._connection = connection
        self.relevel()

    def relevel(self) -> None:
        """Give the agent the driver's new log level."""
        if self._task is not None:
            self._task.cancel()
        if self._connection is not None:
            work = self._follow(self._connection)
            self._task = self._owner.start(work, name="agent log", finishable=True)

    def end(self) -> None:
        """Stop, as the connection is lost. Idempotent."""
        self._connection = None
        if self._task is not None:
            self._task.cancel()
            self._task = None

    def close(self) -> None:
        """End, and close the file. Idempotent."""
        self.end()
        if self._file is not None:
            self._file.close()
            self._file = None

    async def _follow(self, connection: Connection) -> None:
        try:
            async for lines in journal.follow(connection, logs.level(), self._after):
                for line in lines:
                    self._write(line)
                if lines:
                    await asyncio.sleep(len(lines) / PER_SECOND if len(lines) > 20 else 0)
        except errors.GuestUnavailable:
            return
        except errors.GuestCallFailed as exc:
            logger.info("the agent in this guest gives no log: %s", exc.message)
        except errors.GaoError as exc:
            logger.warning("the agent's log: %s", exc.message)

    def _write(self, line: Line) -> None:
        if line.seq <= self._after:
            return
        self._after = line.seq
        if self._file is None:
            try:
                self._file = logs.RotatingFile(self._path)
            except OSError as exc:
                raise errors.HostError(f"{self._path}: {exc.strerror}") from exc
        age_s = min(max(line.age_ms, 0), MAX_AGE_MS) / 1000
        entry = {
            "ts": clock.stamp(clock.now() - age_s),
            "level": line.level,
            "logger": "agent",
            "message": line.message[:MAX_MESSAGE].translate(_CONTROL),
            "vm": self._vm,
        }
        self._file.write(msgspec.json.encode(entry) + b"\n")
