"""Zygotes from before an upgrade: they fork no more, but report how their drivers end.

The daemon ends each one when its last driver has ended. A zygote's death does not affect drivers.
"""

from __future__ import annotations

import asyncio
import logging
import socket

from gaovm import errors
from gaovm.aio import process
from gaovm.daemon import handover
from gaovm.daemon.drivers import forks, zygote

logger = logging.getLogger(__name__)


class OldZygote:
    """One old zygote. Implements ``driver_link.Source``."""

    def __init__(self, given: handover.Zygote) -> None:
        self.pid = given.pid
        self.exits = zygote.Exits(given.drivers)
        self._sock = socket.socket(fileno=given.fd)
        self._sock.setblocking(False)
        self._over = asyncio.get_running_loop().create_future()

    def fileno(self) -> int:
        """The descriptor of its socket, -1 after the daemon has ended it."""
        return self._sock.fileno()

    async def run(self) -> None:
        """Listen until its last driver has ended, or the zygote itself."""
        loop = asyncio.get_running_loop()
        try:
            async with process.adopt(self.pid):
                loop.add_reader(self._sock, self._read)
                try:
                    self._look()
                    await self._over
                finally:
                    loop.remove_reader(self._sock)
                    self.exits.forget()
                    # End of file tells a zygote to leave; TERM follows.
                    self._sock.close()
        finally:
            self._sock.close()
        logger.info("zygote %d of the old code has ended", self.pid)

    async def gone(self, forked: forks.Forked) -> int | None:
        """Wait until one of its drivers ends; see ``Exits.gone``."""
        status = await self.exits.gone(forked)
        self._look()
        return status

    def _look(self) -> None:
        if not len(self.exits):
            self._end()

    def _end(self) -> None:
        if not self._over.done():
            self._over.set_result(None)

    def _read(self) -> None:
        try:
            message = zygote.receive(self._sock)
        except BlockingIOError:
            return
        except errors.InvalidReply as exc:
            logger.error("%s", exc)
            return
        if message is None:
            self._end()
        elif message.op == "exited":
            self.exits.tell(message.pid, message.status)
