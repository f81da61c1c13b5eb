"""End a running hypervisor. Tries in this order: the agent, ACPI, ``quit``, SIGKILL."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable
from typing import NamedTuple

from gaovm import errors
from gaovm.aio import steps
from gaovm.driver.backend import Stoppable
from gaovm.driver.guest.link import GuestLink
from gaovm.guestmanager import power

logger = logging.getLogger(__name__)
POWER_CALL_LIMIT_S = 3.0


class Limits(NamedTuple):
    """How long each way may take, in seconds; 0 skips that way."""

    agent_s: float
    acpi_s: float
    force_s: float


async def end(
    hypervisor: Stoppable, guest: GuestLink | None, limits: Limits, *, resume_first: bool
) -> str:
    """End the hypervisor and return the way that worked: ``agent``, ``acpi`` or ``force``.

    A paused guest cannot answer: ``resume_first`` lets it go on before anybody asks it. SIGKILL
    comes last, so the hypervisor has ended when this returns.
    """
    if resume_first and limits.agent_s + limits.acpi_s > 0:
        await _accepted(hypervisor.resume(), limits.force_s)
    asked = limits.agent_s > 0 and await _ask_agent(guest, min(limits.agent_s, POWER_CALL_LIMIT_S))
    if asked and await _within(hypervisor.ended, limits.agent_s):
        return "agent"
    asked = limits.acpi_s > 0 and await _accepted(hypervisor.press_power_button(), limits.acpi_s)
    if asked and await _within(hypervisor.ended, limits.acpi_s):
        return "acpi"
    if limits.force_s > 0 and await _accepted(hypervisor.quit(), limits.force_s):
        await _within(hypervisor.ended, limits.force_s)
    hypervisor.kill()
    await hypervisor.ended.wait()
    return "force"


@steps.step
async def _ask_agent(guest: GuestLink | None, limit_s: float) -> bool:
    try:
        if guest is None:
            return False
        await power.off(guest.connection, limit_s=limit_s)
    except errors.GaoError as exc:
        logger.info("power-off by agent: %s", exc)
        return False
    return True


async def _accepted(asking: Awaitable[bool], limit_s: float) -> bool:
    try:
        async with asyncio.timeout(limit_s):
            return await asking
    except TimeoutError:
        return False


async def _within(event: asyncio.Event, limit_s: float) -> bool:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(limit_s):
            await event.wait()
    return event.is_set()
