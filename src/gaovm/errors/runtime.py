"""A driver or a hypervisor failed."""

from __future__ import annotations

from gaovm.errors.root import GaoError


class RuntimeFailure(GaoError):
    """The driver or the hypervisor failed."""

    code = "runtime_failure"


class DriverStartFailed(RuntimeFailure):
    """No driver process could be started."""

    code = "driver_start_failed"


class DriverLost(RuntimeFailure):
    """The driver process ended; the effect of a pending call is unknown."""

    code = "driver_lost"
    retriable = True


class HypervisorFailed(RuntimeFailure):
    """The hypervisor refused to start or died; the message holds its last words."""

    code = "hypervisor_failed"


class NetworkLost(RuntimeFailure):
    """A VM lost its network for a moment; its driver restores it, and the VM keeps running."""

    code = "network_lost"


class LockHeld(RuntimeFailure):
    """Another process holds the lock."""

    code = "lock_held"
    retriable = True
