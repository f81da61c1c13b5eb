"""The guest's serial console: log it, keep a bounded tail, watch it for a boot that fails."""

from __future__ import annotations

import re
from collections.abc import Callable

from gaovm.driver.logs import StampedLog
from gaovm.vmmanager.pipes import Pipe

_RESTARTS = re.compile(rb"(Kernel panic - not syncing)|reboot: Restarting system")
_FATAL = re.compile(rb"Kernel panic - not syncing|gaovm-agent: fatal:")


class Console(Pipe):
    """The serial console; calls ``on_fatal`` for a text that means that the boot has failed.

    It does so once, and only while ``booting``: after the agent's answer the text means nothing.
    """

    def __init__(self, log: StampedLog, on_fatal: Callable[[], None]) -> None:
        super().__init__(log)
        self._on_fatal = on_fatal
        self.booting = True

    def on_bytes(self, count: int) -> None:
        if self.booting and self.tail.find(_FATAL, count):
            self.booting = False
            self._on_fatal()

    @property
    def panicked(self) -> bool:
        """Whether the guest that was just reset had panicked, as its last words say."""
        found = self.tail.last(_RESTARTS)
        return found is not None and found[1] is not None
