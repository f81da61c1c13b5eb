"""Keeps VMs in the state that users want: restarts dead ones, and looks for drift every 5 s.

Events drive it: the daemon sees a driver's end through its process descriptor, and hears of a
hypervisor's end from the driver. ``model.supervision`` decides what follows; the decision is
written, with its event, before it is carried out. The safety reconcile beside it compares what is
wanted with what is. It mends a difference that no event explains and counts how often it had to:
it should be never.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Container, Coroutine
from pathlib import Path
from typing import Any

from gaovm import errors
from gaovm.aio import clock, steps
from gaovm.daemon.lifecycle import start, stop
from gaovm.daemon.vms import driver_protocol, machine
from gaovm.daemon.vms.fleet import Fleet
from gaovm.model import states, supervision
from gaovm.wire.control import payloads
from gaovm.wire.driver import params, table

logger = logging.getLogger(__name__)

#: From the GaoVM contract.
RECONCILE_S = 5.0
#: Longer than any event takes: a driver's exit status may arrive half a second after its end.
CONFIRM_S = 2.0
TAIL_LINES = 20
#: The kinds of health report to which the policy for hung guests applies.
HANGS = ("watchdog", "unresponsive")
_TAIL_BYTES = 8192


class Supervisor:
    """Decides what follows a VM's end. Implements ``machine.Supervising``; one per daemon."""

    def __init__(
        self,
        fleet: Fleet,
        starter: start.Starter,
        *,
        chance: Callable[[], float] = random.random,
    ) -> None:
        fleet.supervisor = self
        self._fleet = fleet
        self._starter = starter
        self._chance = chance
        self._stopped = False
        self.mended = 0

    def stop(self) -> None:
        """Start nothing any more. Idempotent."""
        self._stopped = True

    def ended(
        self,
        vm: machine.Machine,
        how: supervision.Ending,
        failure: errors.GaoError | None,
        **changes: Any,
    ) -> None:
        """Decide what follows a VM's end that nobody asked for, write it down, and act on it."""
        if vm.state.first_up is not states.FirstUp.DONE:
            # Nothing proves that this VM ever worked: its first `up` fails with this error.
            decision: supervision.Decision = supervision.Rest()
        else:
            decision = supervision.decide(
                vm.record.spec.supervision.restart,
                vm.record.restarts,
                how,
                ran_s=vm.ran_s(),
                now=clock.now(),
                chance=self._chance(),
            )
        if isinstance(decision, supervision.Again):
            _schedule(vm, decision, failure, changes)
            self.arm(vm, decision.delay_s)
        elif isinstance(decision, supervision.GiveUp):
            _give_up(vm, decision, failure, changes)
        else:
            _rest(vm, how, failure, changes)

    def hangs(self, vm: machine.Machine, kind: str) -> None:
        """Apply onHang after a watchdog or heartbeat failure; drivers handle panics."""
        policy = vm.record.spec.supervision.watchdog.on_hang
        if vm.driver is None or policy == "event" or kind not in HANGS:
            return
        work: Coroutine[Any, Any, object]
        if policy == "restart":
            # The driver reports the VM's end, and the supervisor decides as after any death.
            work = vm.driver.call(table.VM_KILL, params.Kill(reason=kind))
        else:
            work = vm.driver.call(table.VM_PAUSE, params.NOTHING)
        logger.warning("vm %s: %s: %s", vm.name, kind, policy, extra={"vm": vm.name})
        self._fleet.background(f"vm {vm.name}: {policy} after {kind}", work)

    def resume(self, vm: machine.Machine) -> None:
        """Start a VM that should run, on the daemon's own behalf.

        Does nothing while a stop waits for the VM's turn, since that wish is the later one.
        """
        if self._stopped or vm.endings:
            return
        logger.info("vm %s: should run, starting it", vm.name, extra={"vm": vm.name})
        # Its caller is the daemon: a client that joins and leaves does not undo it.
        self._starter.begin(vm, created=False, supervised=True).keep()

    async def run(self) -> None:
        """Run the safety reconcile until cancelled."""
        while True:
            await asyncio.sleep(RECONCILE_S)
            self._write_down()
            if suspected := self._drifted():
                # What has just happened looks like drift until its event arrives.
                await asyncio.sleep(CONFIRM_S)
                self.reconcile(suspected)

    def _write_down(self) -> None:
        """Write again the records that a full disk refused."""
        for vm in self._fleet.machines.values():
            if vm.unwritten:
                vm.update()

    def reconcile(self, suspected: Container[tuple[machine.Machine, str]] | None = None) -> int:
        """Compare what is wanted with what is, for every VM; returns how many had drifted.

        ``suspected``: the only drifts to correct.
        """
        drifted = [each for each in self._drifted() if suspected is None or each in suspected]
        for vm, what in drifted:
            self.mended += 1
            logger.error("vm %s: %s; mending it", vm.name, what, extra={"vm": vm.name})
            self._fleet.events.tell(vm.name, payloads.DriftMended(what=what))
            self._mend(vm)
        return len(drifted)

    def _drifted(self) -> list[tuple[machine.Machine, str]]:
        if self._stopped:
            return []  # guests are being stopped and still should run: in the next daemon
        return [
            (vm, what) for vm in self._fleet.machines.values() if (what := drift(vm)) is not None
        ]

    def _mend(self, vm: machine.Machine) -> None:
        state = vm.state
        if state.observed is states.Observed.BACKOFF:
            self.arm(vm, 0.0)
        elif state.observed in states.AT_REST:
            self.resume(vm)
        elif state.desired is states.Desired.STOPPED:
            self._fleet.background(f"vm {vm.name}: stop", stop.stop(vm))
        else:
            failure = errors.DriverLost(f"the driver of VM {vm.name} is gone")
            driver, vm.driver = vm.driver, None
            if driver is not None:
                # If the driver still runs: without its link it shuts down its guest and leaves.
                work = driver.leave(driver_protocol.LEAVE_S)
                self._fleet.background(f"vm {vm.name}: driver {driver.pid} given up", work)
            self.ended(vm, supervision.Ending.DIED, failure)

    def arm(self, vm: machine.Machine, delay_s: float) -> None:
        vm.cancel_restart()
        if self._stopped:
            return  # the next daemon starts what should run
        vm.restart = asyncio.get_running_loop().call_later(delay_s, self._due, vm)

    def _due(self, vm: machine.Machine) -> None:
        self._fleet.background(f"vm {vm.name}: restart", self._restart(vm))

    async def _restart(self, vm: machine.Machine) -> None:
        if vm.up is not None:
            await vm.up.ended()
        known = self._fleet.knows(vm)
        waits = vm.state.observed is states.Observed.BACKOFF and vm.up is None
        if known and waits and not self._stopped:
            self.resume(vm)


def drift(vm: machine.Machine) -> str | None:
    """The difference that no event explains, or None. Cheap: runs for every VM every 5 s."""
    if vm.up is not None or vm.closing or vm.serial.locked():
        return None  # an operation works on it
    state = vm.record.state
    if state.observed is states.Observed.RUNNING:
        if state.desired is states.Desired.STOPPED:
            return "it runs although it should be stopped"
        if vm.driver is None or not vm.driver.alive():
            return "it should run, but its driver is gone"
        return None
    if state.observed is states.Observed.BACKOFF:
        return "its restart is due but not scheduled" if vm.restart is None else None
    if state.desired is states.Desired.RUNNING and not vm.record.deleting:
        return f"it should run but is {state.observed}"
    return None


# the steps


@steps.step
def _schedule(
    vm: machine.Machine,
    again: supervision.Again,
    failure: errors.GaoError | None,
    changes: dict[str, Any],
) -> None:
    reason = failure.message if failure is not None else "the guest switched itself off"
    vm.apply(states.Event.RESTART_SCHEDULED, failure, **{**changes, "restarts": again.history})
    payload = payloads.RestartScheduled(
        attempt=again.history.attempts,
        max_attempts=vm.record.spec.supervision.restart.max_attempts,
        delay_s=round(again.delay_s, 3),
        nominal_s=again.nominal_s,
        reason=reason,
    )
    vm.fleet.events.tell(vm.name, payload)


@steps.step
def _give_up(
    vm: machine.Machine,
    decision: supervision.GiveUp,
    failure: errors.GaoError | None,
    changes: dict[str, Any],
) -> None:
    reason = failure.message if failure is not None else "the guest switches itself off"
    tail = serial_tail(vm.fleet.paths.serial_log(vm.name), vm.console_from)
    final = errors.HypervisorFailed(
        f"given up after {decision.attempts} restarts: {reason}",
        remedy="look at its logs, then start it again",
        actions=(
            errors.Action("show_logs", name=vm.name),
            errors.Action("start_vm", name=vm.name),
        ),
        details={"serial_tail": tail},
    )
    vm.apply(states.Event.GAVE_UP, final, **changes)
    payload = payloads.PermanentFailure(
        reason=reason,
        attempts=decision.attempts,
        max_attempts=vm.record.spec.supervision.restart.max_attempts,
        serial_tail=tuple(tail),
        window_limit=decision.attempts if decision.window else None,
        window_s=supervision.WINDOW_S if decision.window else None,
    )
    vm.fleet.events.tell(vm.name, payload)


@steps.step
def _rest(
    vm: machine.Machine,
    how: supervision.Ending,
    failure: errors.GaoError | None,
    changes: dict[str, Any],
) -> None:
    events = {
        supervision.Ending.POWERED_OFF: states.Event.POWERED_OFF,
        supervision.Ending.START_FAILED: states.Event.START_FAILED,
        supervision.Ending.DIED: states.Event.DIED,
    }
    vm.apply(events[how], failure, **changes)


def serial_tail(path: Path, begin: int = 0) -> list[str]:
    """The last lines of a console, without terminal control; empty if there is no log.

    ``begin``: the byte at which this run begins. A log that is shorter has been rotated since.
    """
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            file.seek(max(begin if begin <= size else 0, size - _TAIL_BYTES))
            data = file.read(_TAIL_BYTES)
    except OSError:
        return []
    text = data.decode("utf-8", "replace").replace("\r", "\n")
    lines = ("".join(char for char in line if char.isprintable()) for line in text.split("\n"))
    return [line[:500] for line in lines if line.strip()][-TAIL_LINES:]
