"""Restarts, giving up and drift, with fake drivers and short back-off."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from tests.unit.daemon.conftest import Call, Daemon

from gaovm import errors
from gaovm.daemon.lifecycle import supervisor
from gaovm.daemon.vms import machine, reports
from gaovm.model import states
from gaovm.spec.supervision import OnHang, Restart, RestartWhen, Supervision, Watchdog
from gaovm.wire import anyjson


def policy(
    daemon: Daemon, when: RestartWhen = "on-failure", delay_s: float = 0.0
) -> machine.Machine:
    """Return the VM with a restart policy whose delays are at most ``delay_s``."""
    vm = daemon.fleet.machines["web-dev"]
    wanted = Supervision(restart=Restart(policy=when, max_delay_s=delay_s))
    vm.update(spec=msgspec.structs.replace(vm.record.spec, supervision=wanted))
    return vm


async def seen(daemon: Daemon, kind: str) -> list[anyjson.Object]:
    """Return the payloads of all events of a kind, and close the log."""
    await daemon.fleet.store.flush()
    daemon.fleet.events.close()
    return [event.payload async for event in daemon.events if event.type == kind]


async def until_state(vm: machine.Machine, word: str) -> None:
    async with asyncio.timeout(60):
        await vm.until(lambda: vm.describe()[0] == word)


async def test_a_killed_driver_is_replaced_at_once(daemon: Daemon) -> None:
    await daemon.up()
    vm = policy(daemon)
    daemon.driver.die(-9)
    await until_state(vm, "restarting")
    assert vm.state.desired is states.Desired.RUNNING
    await until_state(vm, "running")
    await vm.until(lambda: vm.state.readiness is states.Readiness.READY)
    assert len(daemon.launcher.launched) == 2
    (told,) = await seen(daemon, "driver.restart_scheduled")
    assert (told["attempt"], told["max_attempts"], told["delay_s"]) == (1, 5, 0)
    assert "signal 9" in told["reason"]
    assert daemon.supervisor.mended == 0


async def test_a_dead_hypervisor_is_replaced_and_its_driver_ends(daemon: Daemon) -> None:
    await daemon.up()
    vm, first = policy(daemon), daemon.driver
    first.report("failed", error={"code": "hypervisor_failed", "message": "QEMU: SIGKILL"})
    # without an await: the next start follows at once
    assert vm.describe()[1].endswith("QEMU: SIGKILL")
    await vm.until(lambda: vm.state.readiness is states.Readiness.READY)
    assert first.calls[-1][0] == "exit"
    assert daemon.driver is not first


async def test_the_exit_of_the_hypervisor_is_a_separate_event(daemon: Daemon) -> None:
    await daemon.up()
    vm = daemon.fleet.machines["web-dev"]
    reports.on_notification(vm, "hypervisor", {"pid": 7, "status": -9, "at": 1.5})
    reports.on_notification(vm, "of a newer driver", {})
    (told,) = await seen(daemon, "hypervisor.exited")
    assert told == {"pid": 7, "status": -9, "at": 1.5, "expected": False}


def on_hang(daemon: Daemon, what: OnHang) -> machine.Machine:
    vm = daemon.fleet.machines["web-dev"]
    wanted = Supervision(restart=Restart(max_delay_s=0.0), watchdog=Watchdog(on_hang=what))
    vm.update(spec=msgspec.structs.replace(vm.record.spec, supervision=wanted))
    return vm


@pytest.mark.parametrize("kind", ["watchdog", "unresponsive"])
async def test_a_hung_guest_is_restarted_if_the_policy_says_so(daemon: Daemon, kind: str) -> None:
    await daemon.up()
    vm, first = on_hang(daemon, "restart"), daemon.driver
    reports.on_notification(vm, "health", {"kind": kind, "detail": "it hangs"})
    await until_state(vm, "restarting")
    assert first.calls[-1] == ("vm.kill", {"reason": kind})
    await vm.until(lambda: vm.state.readiness is states.Readiness.READY)
    assert daemon.driver is not first
    event = {"watchdog": "guest.watchdog", "unresponsive": "guest.unresponsive"}[kind]
    assert await seen(daemon, event) == [{"detail": "it hangs"}]


async def test_a_hung_guest_is_paused_if_the_policy_says_so(daemon: Daemon) -> None:
    await daemon.up()
    vm = on_hang(daemon, "pause")
    reports.on_notification(vm, "health", {"kind": "watchdog"})
    await vm.until(lambda: vm.paused)
    status = await daemon.status()
    assert (status["state"], status["paused"]) == ("running", True)
    assert "paused" in status["detail"]
    resumed = await daemon.call("vm.resume", name="web-dev")
    assert (resumed["paused"], resumed["detail"]) == (False, "ready")


async def test_a_hung_guest_is_only_reported_by_default(daemon: Daemon) -> None:
    await daemon.up()
    vm, before = on_hang(daemon, "event"), list(daemon.driver.calls)
    for kind in ("watchdog", "panic", "unresponsive", "responsive", "of a newer driver"):
        reports.on_notification(vm, "health", {"kind": kind})
    await asyncio.sleep(0)
    assert daemon.driver.calls == before
    await daemon.fleet.store.flush()
    daemon.fleet.events.close()
    told = [event.type async for event in daemon.events if event.type.startswith("guest.")]
    assert told == ["guest.watchdog", "guest.panicked", "guest.unresponsive", "guest.responsive"]


async def test_events_of_a_guest_that_keeps_restarting_are_rate_limited(
    daemon: Daemon,
) -> None:
    await daemon.up()
    for _ in range(500):
        daemon.driver.report("running", "agent")
        daemon.driver.report("running", "ready")
    stopped = await daemon.call("vm.stop", name="web-dev")
    assert stopped["state"] == "stopped"
    told = await seen(daemon, "vm.state")
    assert len(told) < 120
    assert [each["event"] for each in told[-2:]] == ["stop asked", "stopped"]
    await daemon.fleet.store.flush()  # `seen` closed the log, which writes the remaining events
    (left_out,) = [
        event.payload
        for event in await daemon.fleet.events.read(0, 1000)
        if event.type == "events.suppressed"
    ]
    assert left_out["types"] == {"vm.state": left_out["count"]}
    assert left_out["count"] + len(told) > 1000


async def test_a_panicked_guest_is_left_to_its_driver(daemon: Daemon) -> None:
    await daemon.up()
    vm, before = on_hang(daemon, "restart"), list(daemon.driver.calls)
    reports.on_notification(vm, "health", {"kind": "panic"})
    await asyncio.sleep(0)
    assert daemon.driver.calls == before


async def test_a_paused_vm_refuses_sessions_and_forgets_the_pause_at_its_end(
    daemon: Daemon,
) -> None:
    await daemon.up()
    vm = daemon.fleet.machines["web-dev"]
    for _ in range(2):
        assert (await daemon.call("vm.pause", name="web-dev"))["paused"]
    with pytest.raises(errors.StateConflict, match="is paused"):
        await daemon.call("vm.session", name="web-dev", kind="exec")
    await daemon.call("vm.stop", name="web-dev")
    assert not vm.paused
    with pytest.raises(errors.StateConflict, match="is not running: it is stopped"):
        await daemon.call("vm.pause", name="web-dev")


async def test_the_serial_tail_has_only_lines_of_the_last_run(daemon: Daemon) -> None:
    console = daemon.fleet.paths.serial_log("web-dev")
    console.parent.mkdir(parents=True, exist_ok=True)
    console.write_bytes(b"of yesterday\r\n")
    await daemon.up()
    vm = daemon.fleet.machines["web-dev"]
    with console.open("ab") as file:
        file.write(b"of today\r\n")
    assert supervisor.serial_tail(console, vm.console_from) == ["of today"]
    console.write_bytes(b"anew\r\n")  # the log was rotated
    assert supervisor.serial_tail(console, vm.console_from) == ["anew"]


async def test_a_vm_is_given_up_after_five_attempts(daemon: Daemon) -> None:
    await daemon.up()
    vm = policy(daemon)
    daemon.fleet.paths.serial_log("web-dev").write_bytes(b"one\r\n\x1b[31mKernel panic\r\n")
    daemon.launcher.failures["vm.start"] = errors.HypervisorFailed("no")
    daemon.driver.die(-9)
    await until_state(vm, "failed")
    told = await daemon.status()
    assert (told["desired"], told["observed"]) == ("stopped", "failed")
    assert told["detail"] == "given up after 5 restarts: no"
    assert list(told["last_error"]["serial_tail"]) == ["one", "[31mKernel panic"]
    assert len(daemon.launcher.launched) == 6
    assert daemon.launcher.launched[-1].calls[-1][0] == "exit"
    (final,) = await seen(daemon, "driver.permanent_failure")
    assert (final["attempts"], final["reason"]) == (5, "no")
    assert list(final["serial_tail"]) == ["one", "[31mKernel panic"]
    assert daemon.stored()["web-dev"].state.desired is states.Desired.STOPPED


@pytest.mark.parametrize(
    ("when", "again"), [("always", True), ("on-failure", False), ("never", False)]
)
async def test_power_off_in_the_guest(daemon: Daemon, when: RestartWhen, again: bool) -> None:
    await daemon.up()
    vm = policy(daemon, when)
    daemon.driver.report("stopped", reason="guest")
    # without an await: the next start follows at once
    assert (vm.describe()[0], vm.state.desired) == (
        ("restarting", "running") if again else ("stopped", "stopped")
    )
    if again:
        await vm.until(lambda: vm.state.readiness is states.Readiness.READY)


async def test_the_policy_never_prevents_every_restart(daemon: Daemon) -> None:
    await daemon.up()
    vm = policy(daemon, "never")
    daemon.driver.die(1)
    await until_state(vm, "failed")
    assert vm.state.desired is states.Desired.STOPPED
    assert len(daemon.launcher.launched) == 1


async def test_a_stop_during_the_back_off_cancels_the_restart(daemon: Daemon) -> None:
    await daemon.up()
    vm = policy(daemon, delay_s=30.0)
    daemon.driver.die(-9)
    await until_state(vm, "restarting")
    assert vm.restart is not None
    await daemon.call("vm.stop", name="web-dev")
    assert vm.restart is None
    assert (await daemon.status())["state"] == "stopped"


async def test_a_start_during_the_back_off_happens_at_once(daemon: Daemon) -> None:
    await daemon.up()
    vm = policy(daemon, delay_s=30.0)
    daemon.driver.die(-9)
    await until_state(vm, "restarting")
    assert (await daemon.call("vm.start", name="web-dev"))["vm"]["state"] == "running"
    assert vm.restart is None
    assert vm.record.restarts.attempts == 0


async def test_a_caller_of_start_waits_through_an_automatic_restart(daemon: Daemon) -> None:
    await daemon.up()
    policy(daemon)
    await daemon.call("vm.stop", name="web-dev")
    daemon.launcher.boot_until = "booting"
    call = Call()
    starting = asyncio.ensure_future(daemon.call("vm.start", call, name="web-dev"))
    while len(daemon.launcher.launched) < 2 or "vm.start" not in dict(daemon.driver.calls):
        await asyncio.sleep(0)
    daemon.launcher.boot_until = "ready"
    daemon.driver.die(-9)
    assert (await starting)["vm"]["state"] == "running"
    assert [line["phase"] for line in call.seen].count("restart") == 1


async def test_no_wait_answers_once_the_request_is_on_disk(daemon: Daemon) -> None:
    await daemon.up()
    await daemon.call("vm.stop", name="web-dev")
    daemon.launcher.boot_until = "booting"
    vm = (await daemon.call("vm.start", name="web-dev", wait="none"))["vm"]
    assert vm["desired"] == "running"
    assert vm["readiness"] in (None, "booting")
    assert daemon.stored()["web-dev"].state.desired is states.Desired.RUNNING
    vm = await daemon.call("vm.stop", name="web-dev", wait="none")
    assert vm["desired"] == "stopped"
    assert daemon.stored()["web-dev"].state.desired is states.Desired.STOPPED
    await until_state(daemon.fleet.machines["web-dev"], "stopped")


async def test_a_restart_is_a_stop_and_a_start(daemon: Daemon) -> None:
    await daemon.up()
    first = daemon.driver
    assert (await daemon.call("vm.restart", name="web-dev"))["vm"]["state"] == "running"
    assert daemon.driver is not first
    assert "vm.stop" in dict(first.calls)


async def test_a_consistent_state_is_no_drift(daemon: Daemon) -> None:
    await daemon.up()
    assert daemon.supervisor.reconcile() == 0
    await daemon.call("vm.stop", name="web-dev")
    assert daemon.supervisor.reconcile() == 0


async def test_drift_is_repaired_and_counted(daemon: Daemon) -> None:
    await daemon.up()
    vm = policy(daemon)
    vm.record = msgspec.structs.replace(  # no code does this; it simulates a defect
        vm.record,
        state=states.VmState(desired=states.Desired.RUNNING, first_up=states.FirstUp.DONE),
    )
    await daemon.driver.leave(1)
    await vm.until(lambda: vm.driver is None)
    assert supervisor.drift(vm) == "it should run but is stopped"
    assert daemon.supervisor.reconcile() == 1
    await vm.until(lambda: vm.state.readiness is states.Readiness.READY)
    assert daemon.supervisor.mended == 1
    assert [payload["what"] for payload in await seen(daemon, "drift.mended")] == [
        "it should run but is stopped"
    ]


async def test_a_driver_that_ended_unnoticed_is_drift(daemon: Daemon) -> None:
    await daemon.up()
    vm = policy(daemon)
    vm.driver = None  # no code does this; it simulates a defect
    assert daemon.supervisor.reconcile() == 1
    await vm.until(lambda: vm.state.readiness is states.Readiness.READY)


async def test_only_drift_that_was_seen_twice_is_repaired(daemon: Daemon) -> None:
    """A recent change looks like drift until its event arrives."""
    await daemon.up()
    vm = policy(daemon)
    vm.driver = None  # no code does this; it simulates a defect
    assert daemon.supervisor.reconcile([]) == 0
    what = supervisor.drift(vm)
    assert what is not None
    assert daemon.supervisor.reconcile([(vm, what)]) == 1
    await vm.until(lambda: vm.state.readiness is states.Readiness.READY)


async def test_a_forgotten_restart_is_drift(daemon: Daemon) -> None:
    await daemon.up()
    vm = policy(daemon, delay_s=30.0)
    daemon.driver.die(-9)
    await until_state(vm, "restarting")
    vm.cancel_restart()
    assert daemon.supervisor.reconcile() == 1
    await vm.until(lambda: vm.state.readiness is states.Readiness.READY)


async def test_a_daemon_that_is_ending_starts_no_vm(daemon: Daemon) -> None:
    await daemon.up()
    vm = policy(daemon)
    daemon.supervisor.stop()
    daemon.driver.die(-9)
    await vm.until(lambda: vm.driver is None)
    await asyncio.sleep(0.02)
    assert len(daemon.launcher.launched) == 1


async def test_a_guest_stopped_with_the_daemon_is_no_drift(daemon: Daemon) -> None:
    """The daemon may wait for another guest longer than the interval between safety checks."""
    await daemon.up()
    vm = policy(daemon)
    vm.record = msgspec.structs.replace(
        vm.record,
        state=states.VmState(desired=states.Desired.RUNNING, first_up=states.FirstUp.DONE),
    )
    await daemon.driver.leave(1)
    await vm.until(lambda: vm.driver is None)
    daemon.supervisor.stop()
    assert daemon.supervisor.reconcile() == 0
    assert len(daemon.launcher.launched) == 1


@pytest.mark.parametrize("tail", [5, "text", {"a": 1}, [1, "last words", None]])
async def test_a_tail_that_is_no_text_makes_no_unreadable_row(daemon: Daemon, tail: object) -> None:
    await daemon.up()
    error = {"code": "guest_failed", "message": "it hung", "details": {"serial_tail": tail}}
    daemon.driver.report("running", "degraded", error=error)
    await daemon.rest()
    failure = daemon.stored()["web-dev"].last_error
    assert failure is not None
    assert (failure.message, failure.serial_tail) == (
        "it hung",
        ("last words",) if isinstance(tail, list) else (),
    )
