"""Wait for a VM: until its agent answers, or until it is ready or soon will be by itself."""

from __future__ import annotations

import asyncio

from gaovm import errors
from gaovm.aio import steps
from gaovm.daemon.vms import machine, reports
from gaovm.model import states


@steps.step
async def until_answered(vm: machine.Machine, limit_s: float) -> None:
    """Return when the agent of a VM that boots or runs answers.

    Raises:
        errors.BootFailed: it did not within ``limit_s``, or the guest switched itself off.
        errors.GaoError: why the VM ended.
    """
    try:
        async with asyncio.timeout(limit_s):
            await vm.until(lambda: _settled(vm, states.Readiness.AGENT))
    except TimeoutError as exc:
        raise errors.BootFailed(
            f"the agent of VM {vm.name} did not answer within {limit_s:.0f} s",
            remedy=f"see {vm.fleet.paths.serial_log(vm.name)}",
        ) from exc
    _raise_if_ended(vm)
    await reports.refresh(vm)


@steps.step
async def until_ready(vm: machine.Machine) -> None:
    """Return when a VM that runs is ready, or lacks only what comes back by itself.

    Raises:
        errors.GaoError: why it is degraded, or why it ended.
    """
    await vm.until(lambda: _settled(vm, states.Readiness.READY))
    _raise_if_ended(vm)
    if vm.state.readiness is states.Readiness.DEGRADED and not is_passing(vm):
        raise vm.last_failure() or errors.GuestUnavailable(
            f"VM {vm.name} runs but did not become ready"
        )
    await reports.refresh(vm)


def is_passing(vm: machine.Machine) -> bool:
    """Whether the VM is usable, and what it lacks comes back by itself."""
    failure = vm.record.last_error
    return failure is not None and failure.code == errors.NetworkLost.code


def _settled(vm: machine.Machine, wait: states.Readiness) -> bool:
    state = vm.state
    if state.observed not in (states.Observed.STARTING, states.Observed.RUNNING):
        return True
    return states.is_up(state, wait) or state.readiness is states.Readiness.DEGRADED


def _raise_if_ended(vm: machine.Machine) -> None:
    if vm.state.observed is states.Observed.RUNNING:
        return
    raise vm.last_failure() or errors.BootFailed(
        f"VM {vm.name} switched itself off before it was up",
        remedy=f"see {vm.fleet.paths.serial_log(vm.name)}",
    )
