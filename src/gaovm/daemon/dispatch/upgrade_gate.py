"""The gate that calls of clients pass before they begin; an upgrade holds some of them there.

A call that waits here has had no effect: it can go on in the code that comes next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Container

from gaovm.ipc import methods
from gaovm.wire.control import table

#: Answered while operations that are under way are waited for: they begin nothing that lasts.
#: What is not named here is held, so that a new method is safe before anybody thinks of it.
READS = table.SPARED | frozenset(methods.LEGACY_READS)
#: Answered up to the last moment: they never wait for anything themselves.
INSTANT = frozenset((table.CALL_CANCEL.name, table.DAEMON_STOP.name))


class Gate:
    """Open, or closed for all methods but some."""

    def __init__(self) -> None:
        self._spared: Container[str] | None = None
        self._opened = asyncio.Event()

    def hold(self, spared: Container[str]) -> None:
        """Hold every call from now on whose method is not spared."""
        self._spared = spared
        self._opened.clear()

    def open(self) -> None:
        """Let all go on. Idempotent."""
        self._spared = None
        self._opened.set()

    async def enter(self, method: str) -> None:
        """Return when a call may begin."""
        while self._spared is not None and method not in self._spared:
            await self._opened.wait()
