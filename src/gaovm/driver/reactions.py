"""What the driver does by itself when something happens to a running VM: events, panics, hangs.

The policy is the daemon's, so the driver mostly just reports. It ends a guest that cannot go on.
"""

from __future__ import annotations

import asyncio
import logging

from gaovm import errors
from gaovm.aio import tasks
from gaovm.driver import boot, health
from gaovm.driver.backend import Hypervisor
from gaovm.driver.console import Console
from gaovm.driver.guest.link import GuestLink
from gaovm.driver.status import Status
from gaovm.vmmanager import events

logger = logging.getLogger(__name__)
FATAL_GATHER_S = 0.3


class Reactions:
    """The reactions of one run of a VM. ``stop`` ends them: what follows was asked for.

    ``own_loader``: the image has a boot loader of its own.
    """

    def __init__(
        self,
        hypervisor: Hypervisor,
        accelerator: str,
        status: Status,
        owner: tasks.TaskOwner,
        *,
        own_loader: bool = False,
    ) -> None:
        self._hypervisor, self._accelerator = hypervisor, accelerator
        self._status, self._owner = status, owner
        self._guest: GuestLink | None = None
        self._console: Console | None = None
        self._boot = boot.Boot(
            self._boot_failed, lambda: self._set_reboot(allowed=False), own_loader=own_loader
        )
        self._health = health.Health(status, self._on_panic)
        self._stopped = False
        #: The first reason for which the VM ends although nobody asked.
        self.failure: health.Failure | health.Lost | None = None

    def watch(self, guest: GuestLink, console: Console) -> None:
        """Begin the boot's time limit: the guest boots now."""
        self._guest, self._console = guest, console
        self._boot.begin(self._accelerator)

    def stop(self) -> None:
        """Stop reacting: somebody asked the VM to end. Idempotent."""
        self._stopped = True
        self._boot.end()

    def end_boot(self) -> None:
        """End the limits of a boot: the VM has ended. Idempotent."""
        self._boot.end()

    @property
    def panicked(self) -> bool:
        """Whether the guest is paused after a panic, and will never answer."""
        return self._health.panicked

    def kill(self, reason: str) -> None:
        """End a guest that hangs, at once; the VM's state becomes failed, with the reason."""
        message = health.KILLED.get(reason, f"the guest was ended: {reason}")
        self._fail(health.Failure(errors.GuestFailed, message, reason))

    # what comes from the guest

    def on_answer(self) -> None:
        """Note that the agent answers: the boot succeeded; from now on a reset is a reboot."""
        self._boot.end()
        if self._console is not None:
            self._console.booting = False
        self._set_reboot(allowed=True)

    def on_fatal(self) -> None:
        """Note that the console reports a failed boot. The lines that say why come right after."""
        loop = asyncio.get_running_loop()
        loop.call_later(FATAL_GATHER_S, self._boot_failed, "the guest's boot failed")

    # what comes from the host

    def on_event(self, event: events.Event) -> None:
        """React to an event, unless the VM is ending anyway."""
        if self._stopped or self.failure is not None:
            return
        match event:
            case events.Reset():
                self._on_reset()
            case events.Panicked(paused):
                self._health.on_panic(paused=paused)
            case events.WatchdogFired():
                self._health.on_watchdog()
            case events.DiskFailed(no_space):
                self._health.on_io_error(no_space=no_space)
            case events.Paused() | events.Resumed():
                self._on_pause(isinstance(event, events.Paused))
            case _:
                self._on_connection(event)

    def _on_connection(self, event: events.Event) -> None:
        """React to a change between guest and host: the agent's port, a share, the network."""
        match event:
            case events.PortChanged(is_open):
                if self._guest is not None:
                    self._guest.on_port(is_open=is_open)
            case events.ShareLost(error):
                # No hypervisor accepts another server: it would not know the guest's open files.
                logger.error("%s", error)
                self._fail(health.Lost(error, "share"))
            case events.NetworkLost(error):
                self._on_network(error)
            case events.NetworkBack():
                self._on_network(None)

    def _on_reset(self) -> None:
        if self._guest is None or self._console is None:
            return
        if self._console.panicked:
            # No panic device reported it (a microVM, an old kernel): it would look like a reboot.
            self._status.health("panic", health.PANIC)
            self._fail(health.Failure(errors.GuestFailed, health.PANIC, "panic"))
            return
        # From here until the agent answers again a boot may fail, as at the start.
        self._boot.begin_again(self._accelerator)
        if not self._console.booting:
            logger.info("the guest was reset")
            self._status.change("running", "booting", reason="reset")
            self._guest.restart()
            self._console.booting = True

    def _on_panic(self) -> None:
        kind = errors.GuestFailed if self._guest and self._guest.answered else errors.BootFailed
        self._fail(health.Failure(kind, health.PANIC, "panic"), kill=False)

    def _on_pause(self, paused: bool) -> None:
        guest, stuck = self._guest, self._health.io_error
        self._health.on_pause(paused)
        if guest is None:
            return
        if paused:
            self._boot.end()
            return
        if not guest.answered:
            self._boot.begin(self._accelerator)
        guest.resumed(recovered=stuck)

    def _on_network(self, error: errors.GaoError | None) -> None:
        """Report that the network is gone or back. The guest is useful without it."""
        if error is not None:
            self._status.health("network_lost", error.message)
            if self._status.readiness == "ready":
                self._status.change("running", "degraded", reason="network_lost", error=error)
            return
        self._status.health("network_back", "the guest has its network again")
        if self._status.observed == "running" and self._status.reason == "network_lost":
            self._status.change("running", "ready")

    # the end

    def _set_reboot(self, *, allowed: bool) -> None:
        self._owner.start(
            self._hypervisor.set_reboot(allowed=allowed), name="set reboot", finishable=True
        )

    def _boot_failed(self, message: str) -> None:
        self._fail(health.Failure(errors.BootFailed, message, "failed"))

    def _fail(self, failure: health.Failure | health.Lost, *, kill: bool = True) -> None:
        """End the VM for this reason; the first reason counts."""
        self._boot.end()
        if self.failure is None and not self._stopped:
            self.failure = failure
            if kill:
                self._hypervisor.kill()
