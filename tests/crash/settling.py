"""Decide when a world is at rest: nothing is under way, and every process is where it belongs."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Any

from tests.crash.world import World

SETTLE_S = 90.0


async def settled(world: World) -> dict[str, Any] | None:
    """Return the VM's status once nothing is under way; None if there is no VM.

    Raises:
        TimeoutError: the world does not come to rest; the message says what is still wrong.
    """
    limit_s = world.limit_s if world.real else SETTLE_S
    deadline = time.monotonic() + limit_s
    while True:
        state = await world.status()
        why = unrest(world, state)
        if why is None:
            return state
        if time.monotonic() > deadline:
            raise TimeoutError(f"not at rest after {limit_s:.0f} s: {why}")
        await asyncio.sleep(0.03)


def unrest(world: World, state: dict[str, Any] | None) -> str | None:
    """Say why the world is not at rest, or return None."""
    stored = world.query("SELECT desired, observed, readiness, deleting FROM vms")
    if [row[:3] for row in stored] != ([] if state is None else [_row(state)]):
        return f"on disk is {stored}, which is not what the daemon says"
    if any(row[3] for row in stored) or world.query("SELECT 1 FROM disks WHERE state != 'ready'"):
        return "a VM is half removed, or a disk half made or half removed"
    if (why := _unrest_of_vm(state)) is not None:
        return why
    found = world.processes()
    kinds = Counter(process.kind for process in found)
    runs = int(state is not None and state["desired"] == "running")
    zygotes = kinds.pop("zygote", 0)
    least, most = (0, 0) if world.portable else (1, 1 + world.upgrades)
    if not least <= zygotes <= most:
        return f"{zygotes} zygotes"
    wanted = Counter({"daemon": 1, "driver": runs, "hypervisor": runs})
    if kinds != wanted:
        return f"processes: {dict(kinds)} instead of {dict(wanted)}"
    if state is None or not runs:
        return None
    pids = {process.kind: process for process in found}
    if pids["driver"].pid != state["driver_pid"]:
        return f"driver {pids['driver'].pid} is not {state['driver_pid']}, which the daemon knows"
    if pids["hypervisor"].parent != pids["driver"].pid:
        return "the hypervisor is not the driver's"
    if pids["hypervisor"].pid != state["hypervisor_pid"]:
        return "the hypervisor is not the one that the daemon knows"
    return None


def _row(state: dict[str, Any]) -> tuple[Any, ...]:
    return state["desired"], state["observed"], state["readiness"]


def _unrest_of_vm(state: dict[str, Any] | None) -> str | None:
    if state is None:
        return None
    wanted = ("ready",) if state["desired"] == "running" else ("stopped", "failed")
    now = state["readiness"] or state["observed"]
    return None if now in wanted else f"the VM is {now} and should be {state['desired']}"
