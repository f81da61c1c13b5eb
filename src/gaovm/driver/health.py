"""Report a running guest's health by events, and describe the failures that end a guest.

This module reports and leaves the reaction to the daemon's policy. It ends only a guest that cannot
go on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from gaovm import errors
from gaovm.driver.status import Status

TAIL_LINES = 40
# A panic's stack and registers are often longer than the tail that we show.
CONSOLE_LINES = 200
PANIC = "the guest's kernel panicked"
KILLED = {
    "watchdog": "the guest hung: its watchdog was not fed",
    "unresponsive": "the guest hung: its agent did not answer",
    "panic": PANIC,
}


# The agent writes this before it turns the guest off (agent/internal/boot/fatal.go).
_AGENT_GAVE_UP = "gaovm-agent: fatal"


class Failure(NamedTuple):
    """Why a VM ends; ``reason`` is the word in its last state."""

    kind: type[errors.GuestError]
    message: str
    reason: str

    def error(self, console: list[str]) -> errors.GuestError:
        """Return the error, with the console's last lines; for a panic, with its first lines."""
        panics = [at for at, line in enumerate(console) if "Kernel panic" in line]
        tail = console[panics[-1] :][:TAIL_LINES] if panics else console[-TAIL_LINES:]
        fatal = [line for line in console if _AGENT_GAVE_UP in line]
        last = f": {fatal[-1] if fatal else tail[0 if panics else -1]}" if tail else ""
        return self.kind(
            self.message + last,
            actions=(errors.Action("show_console"),),
            details={"serial_tail": tail},
        )


class Lost(NamedTuple):
    """A VM ends because something of it on the host ended; ``cause`` says what."""

    cause: errors.GaoError
    reason: str

    def error(self, console: list[str]) -> errors.GaoError:
        """Return the error; the console adds nothing to it."""
        return self.cause


class Health:
    """Reports to the daemon. Calls ``ending`` when the VM ends by itself after a panic."""

    def __init__(self, status: Status, ending: Callable[[], None]) -> None:
        self._status, self._ending = status, ending
        #: The guest is paused after a panic: one can inspect it, but it will never answer.
        self.panicked = False
        self.io_error = False

    def on_panic(self, *, paused: bool) -> None:
        """React to a kernel panic: the VM ends, or is paused if the policy says so."""
        self._status.health("panic", PANIC)
        if paused:
            self.panicked = True
            error = errors.GuestFailed(
                f"{PANIC} and is paused",
                actions=(errors.Action("show_console"), errors.Action("force_stop_vm")),
            )
            self._status.change("running", "degraded", reason="panic", error=error)
        else:
            self._ending()

    def on_watchdog(self) -> None:
        """Report that the guest has not fed its watchdog in time."""
        self._status.health("watchdog", KILLED["watchdog"])

    def on_io_error(self, *, no_space: bool) -> None:
        """Report that the guest is paused because the host could not write its disk."""
        self.io_error = True
        kind = errors.DiskFull if no_space else errors.HostError
        error = kind(
            "the VM is paused: its disk could not be written on the host",
            remedy="make space on the host, then resume the VM",
            actions=(errors.Action("resume_vm"),),
        )
        self._status.change("running", "degraded", reason="io_error", error=error)

    def on_pause(self, paused: bool) -> None:
        """Report that the guest was paused, or goes on."""
        detail = "panic" if self.panicked else "io_error" if self.io_error else "asked"
        self._status.pause(paused, detail if paused else "")
        if not paused:
            self.panicked = self.io_error = False
