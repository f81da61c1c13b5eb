"""Wait until the guest's distribution has booted: no guest is called ready before.

The agent answers long before: as process 1's first child, when the distribution's init has only
begun. The guest's services refuse connections until the boot ends.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from gaovm import errors
from gaovm.guestmanager import guest
from gaovm.guestmanager.transport.connection import Connection
from gaovm.wire.agent.guest import Boot

logger = logging.getLogger(__name__)
#: Not ``boot``: that is the time before the agent answers, when a withdrawn ``up`` is undone.
PHASE = "system"
MAX_UNITS = 5
MAX_NAME = 100


async def wait(connection: Connection, limit_s: float, report: Callable[[str, str], None]) -> None:
    """Wait for the end of the boot. Only report failed units: such a guest is still useful.

    Raises:
        errors.BootFailed: the distribution is still booting after ``limit_s`` seconds.
        errors.GuestUnavailable: the agent is gone.
    """
    report(PHASE, "waiting for the distribution to boot")
    try:
        boot = await guest.wait_booted(connection, limit_s)
    except errors.GuestCallFailed as exc:
        boot = Boot(state="degraded", detail=exc.message)
    if boot.state == "timeout":
        raise errors.BootFailed(
            f"the distribution has not finished booting within {limit_s:g} s",
            remedy="the VM runs on: see what its boot waits for; vmOpts.gaovm.setUp.boot is the "
            "limit",
            actions=(errors.Action("list_guest_jobs"),),
        )
    if boot.state == "degraded":
        failed = ", ".join(name[:MAX_NAME] for name in boot.failed[:MAX_UNITS])
        told = f"failed units: {failed}" if failed else boot.detail[:MAX_NAME]
        logger.warning("the distribution has booted, %s", told)
        report(PHASE, f"the distribution has booted, {told}")
