"""The limits of a boot: its time, and how often the guest may reset itself meanwhile."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

LIMITS_S = {"kvm": 60.0, "hvf": 60.0, "tcg": 180.0}
#: An image with its own boot loader starts the agent late, and at its first boot installs it.
OWN_LOADER_LIMITS_S = {"kvm": 240.0, "hvf": 240.0, "tcg": 720.0}
# After a reset by the guest the firmware resets the machine once or more again (SeaBIOS 1.16 on
# q35 under TCG: within 0.15 s); the guest's own next reset comes seconds later.
FIRMWARE_S = 2.0


class Boot:
    """The timers of a boot, until the agent answers or the VM ends."""

    def __init__(
        self,
        failed: Callable[[str], None],
        forbid_reset: Callable[[], None],
        *,
        own_loader: bool = False,
    ) -> None:
        self._failed, self._forbid_reset = failed, forbid_reset
        self._own_loader = own_loader
        self._limit: asyncio.TimerHandle | None = None
        self._firmware: asyncio.TimerHandle | None = None

    def begin(self, accelerator: str) -> None:
        """Start the agent's time limit, unless it runs already."""
        if self._limit is None:
            limits = OWN_LOADER_LIMITS_S if self._own_loader else LIMITS_S
            limit_s = float(
                os.environ.get("GAOVM_BOOT_TIMEOUT_S", limits.get(accelerator, limits["tcg"]))
            )
            message = f"the guest's agent did not answer within {limit_s:g} s"
            loop = asyncio.get_running_loop()
            self._limit = loop.call_later(limit_s, self._failed, message)

    def begin_again(self, accelerator: str) -> None:
        """Note a reset: once the firmware is done, another reset means a failed boot.

        A boot loader may reset the machine, as shim does after it has made its boot entries.
        """
        self.begin(accelerator)
        if self._own_loader:
            return
        if self._firmware is not None:
            self._firmware.cancel()
        loop = asyncio.get_running_loop()
        self._firmware = loop.call_later(FIRMWARE_S, self._forbid_reset)

    def end(self) -> None:
        """Stop all timers. Idempotent."""
        for timer in (self._limit, self._firmware):
            if timer is not None:
                timer.cancel()
        self._limit = self._firmware = None
