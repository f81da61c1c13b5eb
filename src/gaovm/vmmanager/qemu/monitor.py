"""QEMU's monitor: one QMP connection over an inherited socket."""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
from collections.abc import Callable, Mapping
from typing import Any, cast

from gaovm import errors
from gaovm.vmmanager.qemu import qmp

CONNECT_LIMIT_S = 60.0
COMMAND_LIMIT_S = 5.0
SCREENDUMP_LIMIT_S = 30.0
EventHandler = Callable[[str, Mapping[str, Any]], None]


class Monitor(asyncio.Protocol):
    """A monitor. It calls ``on_event(name, data)`` for each event; this must not raise.

    Guarantee: when the connection ends, every pending command fails with the connection's reason.
    """

    def __init__(self, on_event: EventHandler) -> None:
        self._on_event = on_event
        self._decoder = qmp.Decoder()
        self._transport: asyncio.Transport | None = None
        self._fd = -1
        self._idents = itertools.count(1)
        self._pending: dict[int, asyncio.Future[Any]] = {}
        self._greeting: asyncio.Future[qmp.Version] = asyncio.get_running_loop().create_future()
        self._error: errors.HypervisorFailed | None = None

    async def connect(self, sock: socket.socket) -> qmp.Version:
        """Negotiate on a connected socket, which the monitor then owns; return QEMU's version.

        Raises:
            errors.HypervisorFailed: QEMU ended, or does not speak QMP.
        """
        sock.setblocking(False)
        self._fd = sock.fileno()
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: self, sock=sock)
            async with asyncio.timeout(CONNECT_LIMIT_S):
                version = await self._greeting
            await self.execute("qmp_capabilities")
        except TimeoutError as exc:
            self.close()
            raise errors.HypervisorFailed(
                f"no monitor: QEMU did not greet within {CONNECT_LIMIT_S:g} s"
            ) from exc
        except errors.HypervisorFailed as exc:
            self.close()
            raise errors.HypervisorFailed(f"no monitor: {exc.message}") from exc
        return version

    async def execute(self, command: str, **arguments: Any) -> Any:
        """Run one command.

        Raises:
            errors.HypervisorFailed: QEMU refused it, QEMU ended, or no answer came within 5 s.
        """
        return await self._run(command, arguments, COMMAND_LIMIT_S)

    async def screendump(self, path: str) -> None:
        """Write the display's picture to a file of the host, as PNG.

        Raises:
            errors.HypervisorFailed: see ``execute``; the limit is 30 s, as large pictures are slow.
        """
        arguments = {"filename": path, "format": "png"}
        await self._run("screendump", arguments, SCREENDUMP_LIMIT_S)

    async def hand_over(self, name: str, fd: int) -> None:
        """Give QEMU a copy of a descriptor, under a name that a later command uses once.

        Raises:
            errors.HypervisorFailed: see ``execute``.
        """
        await self._run("getfd", {"fdname": name}, COMMAND_LIMIT_S, fd)

    async def _run(
        self, command: str, arguments: dict[str, Any], limit_s: float, fd: int | None = None
    ) -> Any:
        if self._error is not None or self._transport is None:
            reason = self._error.message if self._error else "it is not connected"
            raise errors.HypervisorFailed(f"monitor command {command}: {reason}")
        ident = next(self._idents)
        answer = self._pending[ident] = asyncio.get_running_loop().create_future()
        try:
            self._send(qmp.command(command, arguments, ident), fd)
            async with asyncio.timeout(limit_s):
                return await answer
        except TimeoutError as exc:
            reason = f"no answer within {limit_s:g} s"
            raise errors.HypervisorFailed(f"monitor command {command}: {reason}") from exc
        except errors.HypervisorFailed as exc:
            raise errors.HypervisorFailed(f"monitor command {command}: {exc.message}") from exc
        finally:
            self._pending.pop(ident, None)

    def _send(self, line: bytes, fd: int | None) -> None:
        if self._transport is None:
            return
        if fd is not None:
            # Bypass the transport, but never overtake its buffer. QEMU takes a descriptor with any
            # byte of the line: send the first byte with it, and the rest through the transport.
            if self._transport.get_write_buffer_size():
                raise errors.HypervisorFailed("QEMU does not read its monitor")
            try:
                with socket.socket(fileno=os.dup(self._fd)) as sock:
                    socket.send_fds(sock, [line[:1]], [fd])
            except OSError as exc:  # no space in the socket, no descriptor, or QEMU is gone
                raise errors.HypervisorFailed(exc.strerror or str(exc)) from exc
            line = line[1:]
        self._transport.write(line)

    def close(self) -> None:
        """End the connection, if there is one. Idempotent."""
        self._end("the monitor was closed")

    # called by the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        try:
            for message in self._decoder.feed(data):
                self._on_message(message)
        except errors.HypervisorFailed as exc:
            self._end(exc.message)

    def eof_received(self) -> None:
        self._end("QEMU closed its monitor")

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(f"the monitor broke: {exc}" if exc else "QEMU closed its monitor")

    def _on_message(self, message: qmp.Message) -> None:
        if message.event is not None:
            self._on_event(message.event, message.data)
        elif message.greeting is not None:
            if not self._greeting.done():
                self._greeting.set_result(message.greeting.version.qemu)
        else:
            self._on_answer(message)

    def _on_answer(self, message: qmp.Message) -> None:
        future = self._pending.get(message.id or 0)
        if future is None or future.done():
            return  # its caller has stopped waiting
        if message.refusal is not None:
            refusal = message.refusal
            future.set_exception(errors.HypervisorFailed(f"{refusal.kind}: {refusal.text}"))
        else:
            future.set_result(message.result)

    def _end(self, reason: str) -> None:
        if self._error is not None:
            return
        self._error = errors.HypervisorFailed(reason)
        if self._transport is not None:
            self._transport.abort()
        for future in (self._greeting, *self._pending.values()):
            if not future.done():
                future.set_exception(errors.HypervisorFailed(reason))
                future.exception()  # mark as retrieved: its caller may have stopped waiting
