"""QEMU's monitor: one QMP connection over an inherited socket.

Works round two traits of ``qemu.qmp``: its handshake checks the reply to ``qmp_capabilities`` with
``assert`` only, so ``connect`` proves by a command that negotiation took place; and its listeners
go silent for ever when the connection ends, so events are handed on as they arrive and the
caller watches the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Mapping
from typing import Any

from qemu.qmp import EventListener, ExecInterruptedError, QMPClient, QMPError

from gaovm import errors

# The library logs every protocol error with a traceback; ours are typed and logged by us.
logging.getLogger("qemu.qmp").setLevel(logging.CRITICAL)

CONNECT_LIMIT_S = 60.0
COMMAND_LIMIT_S = 5.0
EventHandler = Callable[[str, Mapping[str, Any]], None]


class Monitor:
    """A monitor. ``on_event(name, data)`` is called for each event and must not raise."""

    def __init__(self, on_event: EventHandler) -> None:
        self._connected = False
        self._client = QMPClient("vm")
        self._on_event = on_event
        self._client.register_listener(EventListener(event_filter=self._filter))

    async def connect(self, sock: socket.socket) -> None:
        """Negotiate on a connected socket, which is owned from now on.

        Raises:
            errors.HypervisorFailed: QEMU ended, or does not speak QMP.
        """
        sock.setblocking(False)
        try:
            async with asyncio.timeout(CONNECT_LIMIT_S):
                await self._client.connect(sock)
        except (QMPError, OSError, EOFError, AssertionError, TimeoutError) as exc:
            raise errors.HypervisorFailed(f"no monitor: {str(exc) or type(exc).__name__}") from exc
        self._connected = True
        await self.execute("query-status")

    async def execute(self, command: str, **arguments: Any) -> Any:
        """Run one command.

        Raises:
            errors.HypervisorFailed: it was refused, QEMU ended, or no answer came within 5 s.
        """
        try:
            async with asyncio.timeout(COMMAND_LIMIT_S):
                return await self._client.execute(command, arguments or None)
        except (QMPError, ExecInterruptedError, EOFError, OSError, TimeoutError) as exc:
            reason = str(exc) or type(exc).__name__
            raise errors.HypervisorFailed(f"monitor command {command}: {reason}") from exc

    async def power_button(self) -> None:
        """Press the ACPI power button."""
        await self.execute("system_powerdown")

    async def quit(self) -> None:
        """Make QEMU end at once, its disks flushed."""
        await self.execute("quit")

    async def close(self) -> None:
        """End the connection that ``connect`` made, if it did. Idempotent; never raises."""
        if not self._connected:
            return
        self._connected = False
        # The library asserts when both sides end the connection at once.
        with contextlib.suppress(QMPError, OSError, EOFError, TimeoutError, AssertionError):
            async with asyncio.timeout(1):
                await self._client.disconnect()

    def _filter(self, event: Mapping[str, Any]) -> bool:
        name, data = event.get("event"), event.get("data")
        if isinstance(name, str):
            self._on_event(name, data if isinstance(data, dict) else {})
        return False
