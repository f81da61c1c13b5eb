"""The guest's serial console: logged, kept in a bounded tail, watched for a boot that fails."""

from __future__ import annotations

import re
from collections.abc import Callable

from gaovm.driver.logs import StampedLog
from gaovm.vmmanager.pipes import Pipe

_RESTARTS = re.compile(rb"(Kernel panic - not syncing)|reboot: Restarting system")
_FATAL = re.compile(rb"Kernel panic - not syncing|gaovm-agent: fatal:")


class Console(Pipe):
    """The serial console; ``on_fatal`` is called for a text that means the boot is over.

    Once, and only while ``booting``: when the agent has answered, the text is only text.
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
        """Whether the guest that has just been reset panicked, by its own last words."""
        found = self.tail.last(_RESTARTS)
        return found is not None and found[1] is not None
