"""The supervisor's orders for a VM: restarts, start with the host, hung guests, stop limits."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from gaovm.spec.base import Frozen

RestartWhen = Literal["always", "on-failure", "never"]
OnHang = Literal["restart", "pause", "event"]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=86_400)]


class Restart(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When and how often the daemon restarts a VM that has ended.

    ``on-failure``: when driver or hypervisor died; ``always``: also when the guest powered itself
    off. After ``max_attempts`` starts in a row without ``stable_s`` seconds of running in between,
    the daemon gives the VM up. The pause before attempt n is 2^(n-1) s, at most ``max_delay_s``.
    """

    policy: RestartWhen = "on-failure"
    max_attempts: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 5
    max_delay_s: Seconds = 30.0
    stable_s: Seconds = 60.0


class Watchdog(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How GaoVM notices a hung guest, and what it does then.

    ``device``: the VM has a watchdog device, which fires when the agent does not reset it within
    ``timeout_s``. ``heartbeat``: the driver asks the agent regularly.
    """

    device: bool = False
    timeout_s: Annotated[int, msgspec.Meta(ge=5, le=3600)] = 30
    heartbeat: bool = True
    on_hang: OnHang = "event"


class Stop(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Time limits of a requested stop: for the guest to shut down, then for the hypervisor."""

    grace_s: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 30.0
    force_s: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 5.0


class SetUp(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Time limits of the set-up in the guest, in seconds.

    ``boot_s``: for the distribution to boot. ``script_s``: for each script; 0 means no limit.
    ``probe_s``: for each probe; None: what ``GAOVM_PROBE_TIMEOUT_S`` says, else 10 minutes.
    """

    boot_s: Seconds = 300.0
    script_s: Seconds = 0.0
    probe_s: Seconds | None = None


class Supervision(Frozen, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All orders. ``autostart``: after a host reboot, start the VM again if it should run."""

    restart: Restart = Restart()
    watchdog: Watchdog = Watchdog()
    stop: Stop = Stop()
    set_up: SetUp = SetUp()
    autostart: bool = False
