"""The gate that a client's call passes before it begins; an upgrade closes it for most methods.

A call that waits here has had no effect yet, so it can begin in the code that comes next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Container

from gaovm.ipc import methods
from gaovm.wire.control import table

#: Methods that an upgrade still answers while it waits for operations: they begin nothing that
#: lasts. It holds every other method, so a new one is safe by default.
READS = table.SPARED | frozenset(methods.LEGACY_READS)
#: Methods that an upgrade answers up to the last moment: they never wait for anything.
INSTANT = frozenset((table.CALL_CANCEL.name, table.DAEMON_STOP.name))


class Gate:
    """A gate that is open, or closed for all methods except some."""

    def __init__(self) -> None:
        self._spared: Container[str] | None = None
        self._opened = asyncio.Event()

    def hold(self, spared: Container[str]) -> None:
        """Hold every call whose method is not in ``spared``, from now on."""
        self._spared = spared
        self._opened.clear()

    def open(self) -> None:
        """Let all calls go on. Idempotent."""
        self._spared = None
        self._opened.set()

    async def enter(self, method: str) -> None:
        """Return when a call may begin."""
        while self._spared is not None and method not in self._spared:
            await self._opened.wait()
