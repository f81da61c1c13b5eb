"""``vm.up``: success, shared work, withdrawal, and all failures."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.unit.daemon.conftest import Call, Daemon

from gaovm import errors
from gaovm.daemon import images
from gaovm.daemon.vms import reports
from gaovm.hostfacts import limits

pytestmark = pytest.mark.usefixtures("no_errors_logged")


async def spin(turns: int = 50) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)


async def until_phase(daemon: Daemon, readiness: str) -> None:
    machine = daemon.fleet.machines["web-dev"]
    await machine.until(lambda: machine.state.readiness == readiness)
    await spin()


async def test_a_missing_disk_of_an_existing_vm_is_an_error(daemon: Daemon) -> None:
    await daemon.up()
    vm = daemon.fleet.machines["web-dev"]
    real = images.ImageService(daemon.fleet.paths)
    with pytest.raises(errors.StateCorrupt, match=r"the disk of VM web-dev is gone: .*qcow2"):
        await real.prepare(vm, lambda _: None, fresh_disk=False)


async def test_up_creates_boots_and_waits_until_ready(daemon: Daemon) -> None:
    call = Call()
    result = await daemon.up(call)
    assert (result["created"], result["already"], result["warnings"]) == (True, False, [])
    vm = result["vm"]
    assert (vm["state"], vm["readiness"], vm["first_up"]) == ("running", "ready", "done")
    assert vm["boot"] == {"agent_ms": 1000, "ready_ms": 2000}
    assert vm["accelerator"]["name"] == "tcg"
    assert [line["phase"] for line in call.seen][:2] == ["image", "image"]
    assert daemon.stored()["web-dev"].disk_used
    methods = [method for method, _ in daemon.driver.calls]
    assert methods == ["vm.configure", "vm.start", "vm.status", "vm.status"]
    request = daemon.driver.calls[0][1]
    assert request["provision"] is True
    assert request["run_dir"].endswith(daemon.fleet.machines["web-dev"].record.run_id)


async def test_a_second_up_reports_that_the_vm_already_runs(daemon: Daemon) -> None:
    await daemon.up()
    result = await daemon.up()
    assert (result["created"], result["already"]) == (False, True)
    assert len(daemon.launcher.launched) == 1


async def test_the_intent_is_on_disk_before_the_driver_starts(daemon: Daemon) -> None:
    daemon.launcher.boot_until = "booting"
    up = asyncio.ensure_future(daemon.up())
    await daemon.rest()
    row = daemon.stored()["web-dev"]
    assert (row.state.desired, row.state.first_up) == ("running", "pending")
    daemon.driver.boot("ready")
    await up


async def test_two_ups_share_one_boot_and_its_result(daemon: Daemon) -> None:
    daemon.launcher.boot_until = "agent"
    first_call, second_call = Call(), Call()
    first = asyncio.ensure_future(daemon.up(first_call))
    await daemon.rest()
    second = asyncio.ensure_future(daemon.up(second_call))
    await daemon.rest()
    assert second_call.seen, "a caller that joins gets the latest progress at once"
    machine = daemon.fleet.machines["web-dev"]
    reports.on_notification(machine, "progress", {"phase": "provision", "message": "step 1"})
    assert first_call.seen[-1] == second_call.seen[-1]
    assert second_call.seen[-1]["message"] == "step 1"
    daemon.driver.boot("ready")
    one, two = await asyncio.gather(first, second)
    assert one == two
    assert one["created"] is True
    assert len(daemon.launcher.launched) == 1


async def test_two_ups_share_one_failure(daemon: Daemon) -> None:
    daemon.launcher.boot_until = "booting"
    ups = [asyncio.ensure_future(daemon.up()) for _ in range(2)]
    await daemon.rest()
    daemon.driver.report("failed", error=errors.to_wire(errors.BootFailed("kernel panic")))
    results = await asyncio.gather(*ups, return_exceptions=True)
    assert [type(result) for result in results] == [errors.BootFailed] * 2
    vm = await daemon.status()
    assert (vm["state"], vm["first_up"], vm["desired"]) == ("first-up-failed", "failed", "stopped")
    assert vm["last_error"]["message"] == "kernel panic"
    assert vm["driver_pid"] is None


async def test_one_of_two_callers_may_leave(daemon: Daemon) -> None:
    daemon.launcher.boot_until = "booting"
    first = asyncio.ensure_future(daemon.up())
    second = asyncio.ensure_future(daemon.up())
    await daemon.rest()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    daemon.driver.boot("ready")
    assert (await second)["vm"]["state"] == "running"


@pytest.mark.parametrize(
    ("phase", "wish"), [("booting", None), ("agent", "undo"), ("provisioning", "undo")]
)
async def test_a_new_vm_is_removed_when_the_last_caller_leaves(
    daemon: Daemon, phase: str, wish: str | None
) -> None:
    daemon.launcher.boot_until = phase
    up = asyncio.ensure_future(daemon.up())
    await daemon.rest()
    machine = daemon.fleet.machines["web-dev"]
    up.cancel(wish)
    with pytest.raises(asyncio.CancelledError):
        await up
    assert daemon.stored() == {}
    assert (await daemon.call("vm.list")) == {"vms": []}
    assert not Path(machine.fleet.paths.vm_dir("web-dev")).exists()
    assert not machine.fleet.paths.run_dir(machine.record.run_id).exists()
    assert machine.driver is None


@pytest.mark.parametrize(
    ("phase", "wish"), [("agent", None), ("provisioning", None), ("booting", "keep")]
)
async def test_an_up_continues_without_its_caller_once_the_agent_answers(
    daemon: Daemon, phase: str, wish: str | None
) -> None:
    daemon.launcher.boot_until = phase
    up = asyncio.ensure_future(daemon.up())
    await daemon.rest()
    up.cancel(wish)
    with pytest.raises(asyncio.CancelledError):
        await up
    vm = await daemon.status()
    if phase == "booting":
        daemon.driver.boot("agent")
        await daemon.rest()
        vm = await daemon.status()
    assert (vm["state"], vm["observed"], vm["first_up"]) == ("interrupted", "running", "pending")
    assert "its `up` was interrupted and continues" in vm["detail"]
    call = Call()
    again = asyncio.ensure_future(daemon.up(call))
    await daemon.rest()
    assert (await daemon.status())["state"] == "running", "a caller waits for the up again"
    daemon.driver.boot("ready")
    assert (await again)["vm"]["first_up"] == "done"
    assert len(daemon.launcher.launched) == 1


async def test_an_up_that_nobody_waits_for_completes(daemon: Daemon) -> None:
    daemon.launcher.boot_until = "agent"
    up = asyncio.ensure_future(daemon.up())
    await daemon.rest()
    up.cancel()
    await asyncio.wait([up])
    daemon.driver.boot("ready")
    await daemon.rest()
    assert (await daemon.status())["state"] == "running"
    assert daemon.stored()["web-dev"].state.first_up == "done"


async def test_an_undo_does_not_affect_another_caller(daemon: Daemon) -> None:
    daemon.launcher.boot_until = "agent"
    first, second = (asyncio.ensure_future(daemon.up()) for _ in range(2))
    await daemon.rest()
    first.cancel("undo")
    await asyncio.wait([first])
    daemon.driver.boot("ready")
    assert (await second)["vm"]["state"] == "running"


async def test_an_old_vm_returns_to_stopped_when_the_caller_leaves(daemon: Daemon) -> None:
    await daemon.up()
    await daemon.call("vm.stop", name="web-dev")
    daemon.launcher.boot_until = "booting"
    up = asyncio.ensure_future(daemon.up())
    await daemon.rest()
    up.cancel()
    with pytest.raises(asyncio.CancelledError):
        await up
    vm = await daemon.status()
    assert (vm["state"], vm["desired"], vm["driver_pid"]) == ("stopped", "stopped", None)
    assert daemon.stored()["web-dev"].state.observed == "stopped"


async def test_wait_agent_returns_early_and_its_caller_may_go(daemon: Daemon) -> None:
    daemon.launcher.boot_until = "agent"
    result = await daemon.up(wait="agent")
    assert result["vm"]["readiness"] == "agent"
    waiting = asyncio.ensure_future(daemon.up(wait="ready"))
    await daemon.rest()
    waiting.cancel()  # a caller got the answer that the VM is up: cancelling must not undo it
    await spin()
    assert (await daemon.status())["state"] == "running"
    daemon.driver.boot("ready")
    assert (await daemon.up())["vm"]["readiness"] == "ready"


async def test_a_failed_provisioning_fails_up_and_leaves_the_vm_running(daemon: Daemon) -> None:
    daemon.launcher.boot_until = "provisioning"
    daemon.launcher.guest_error = errors.ProvisionFailed(
        "provision[0] failed with status 3", details={"script": "provision[0]", "status": 3}
    )
    with pytest.raises(errors.ProvisionFailed) as caught:
        await daemon.up()
    assert caught.value.details["status"] == 3
    vm = await daemon.status()
    assert (vm["state"], vm["observed"], vm["first_up"]) == ("degraded", "running", "failed")
    with pytest.raises(errors.ProvisionFailed):
        await daemon.up()
    assert [method for method, _ in daemon.driver.calls].count("guest.provision") == 1
    assert daemon.driver.alive() and (await daemon.status())["state"] == "degraded"
    daemon.launcher.guest_error = None
    daemon.launcher.boot_until = "ready"
    await daemon.call("vm.stop", name="web-dev")
    assert (await daemon.status())["state"] == "first-up-failed"
    assert (await daemon.up())["vm"]["first_up"] == "done"
    assert daemon.preparer.fresh == [True, False], "the used disk is kept"


@pytest.mark.parametrize("then", ["at once", "later"])
async def test_a_short_network_loss_does_not_fail_an_up(daemon: Daemon, then: str) -> None:
    lost = errors.to_wire(errors.NetworkLost("the VM has no network: passt ended with status 247"))
    daemon.launcher.boot_until = "agent"
    waiting = asyncio.ensure_future(daemon.up(wait="ready"))
    await daemon.rest()
    daemon.driver.boot("ready")
    if then == "later":
        await waiting
    daemon.driver.report("running", "degraded", error=lost)
    if then == "at once":
        assert (await waiting)["vm"]["first_up"] == "done"
    await until_phase(daemon, "degraded")
    again = await daemon.up(wait="ready")
    assert again["already"] and "no network" in again["warnings"][-1]


async def test_a_missing_image_fails_the_first_up(daemon: Daemon) -> None:
    daemon.preparer.failure = errors.ImageUnknown("no image 'x'")
    with pytest.raises(errors.ImageUnknown):
        await daemon.up()
    assert (await daemon.status())["state"] == "first-up-failed"
    daemon.preparer.failure = None
    result = await daemon.up()
    assert (result["vm"]["first_up"], result["vm"]["last_error"]) == ("done", None)
    assert daemon.preparer.fresh == [True, True]


@pytest.mark.parametrize("step", ["launch", "vm.configure", "vm.start"])
async def test_a_step_that_fails_leaves_no_driver(daemon: Daemon, step: str) -> None:
    daemon.launcher.failures[step] = errors.PortTaken("port 80 is taken by nginx")
    with pytest.raises(errors.PortTaken):
        await daemon.up()
    vm = await daemon.status()
    assert (vm["state"], vm["driver_pid"]) == ("first-up-failed", None)
    daemon.launcher.failures.clear()
    assert (await daemon.up())["vm"]["state"] == "running"


async def test_a_driver_that_dies_during_boot_fails_the_up(daemon: Daemon) -> None:
    daemon.launcher.boot_until = "booting"
    up = asyncio.ensure_future(daemon.up())
    await daemon.rest()
    daemon.driver.die(-9)
    with pytest.raises(errors.DriverLost, match="signal 9"):
        await up
    assert (await daemon.status())["state"] == "first-up-failed"


async def test_a_guest_that_powers_off_during_boot_fails_the_up(daemon: Daemon) -> None:
    daemon.launcher.boot_until = "booting"
    up = asyncio.ensure_future(daemon.up())
    await daemon.rest()
    daemon.driver.report("stopped", reason="guest")
    with pytest.raises(errors.BootFailed, match="switched itself off"):
        await up


async def test_stop_cancels_an_up(daemon: Daemon) -> None:
    daemon.launcher.boot_until = "booting"
    up = asyncio.ensure_future(daemon.up())
    await daemon.rest()
    vm = await daemon.call("vm.stop", name="web-dev")
    with pytest.raises(errors.Cancelled, match="by a stop"):
        await up
    assert (vm["state"], vm["observed"], vm["first_up"]) == ("stopped", "stopped", "pending")


async def test_destroy_cancels_an_up(daemon: Daemon) -> None:
    daemon.launcher.boot_until = "booting"
    up = asyncio.ensure_future(daemon.up())
    await daemon.rest()
    assert (await daemon.call("vm.destroy", name="web-dev"))["name"] == "web-dev"
    with pytest.raises(errors.Cancelled, match="by a destroy"):
        await up
    assert daemon.stored() == {}


@pytest.mark.parametrize(
    ("method", "more"),
    [
        ("vm.destroy", {}),
        ("vm.stop", {}),
        ("vm.session", {"kind": "exec"}),
        ("vm.config.set", {"changes": {"cpus": 2}}),
        ("log.level", {"level": "debug"}),
    ],
)
async def test_a_directory_does_not_address_another_directorys_vm(
    daemon: Daemon, method: str, more: dict[str, Any]
) -> None:
    await daemon.up()
    before = await daemon.status()
    with pytest.raises(errors.VmNotFound, match="/other/web has no VM") as caught:
        await daemon.call(method, name="web-dev", of_project="/other/web", **more)
    assert "web-dev" not in str(caught.value.remedy), "no remedy may name another project's VM"
    assert await daemon.status() == before
    await daemon.call("vm.stop", name="web-dev", of_project="/src/web")
    await daemon.call("vm.stop", name="absent", of_project="/src/web")


async def test_a_name_of_another_project_is_taken(daemon: Daemon) -> None:
    await daemon.up()
    with pytest.raises(errors.NameTaken, match="taken by /src/web") as caught:
        await daemon.up(project_dir="/src/other", name="web-dev")
    assert caught.value.actions == (errors.Action("make_vm_as", new_name="other-dev"),)
    assert list(daemon.fleet.machines) == ["web-dev"]


async def test_a_misspelt_name_creates_nothing(daemon: Daemon) -> None:
    await daemon.up()
    with pytest.raises(errors.VmNotFound) as caught:
        await daemon.call("vm.start", name="web-dve")
    assert caught.value.remedy == "did you mean web-dev?"
    assert list(daemon.stored()) == ["web-dev"]


async def test_a_disk_never_shrinks(daemon: Daemon) -> None:
    await daemon.up()
    await daemon.call("vm.stop", name="web-dev")
    with pytest.raises(errors.DiskShrink):
        await daemon.up(config_text="10")
    assert (await daemon.up())["vm"]["disk_bytes"] == 20 << 30


async def test_errors_of_bad_parameters_have_their_path(daemon: Daemon) -> None:
    with pytest.raises(errors.InvalidParams) as caught:
        await daemon.up(user={"name": "u", "uid": -1, "gid": 0})
    assert caught.value.field == "user.uid"
    with pytest.raises(errors.InvalidParams, match="unknown field"):
        await daemon.call("vm.list", extra=1)
    with pytest.raises(errors.UnknownMethod):
        await daemon.call("vm.nope")


async def test_a_caller_that_leaves_at_once_leaves_nothing(daemon: Daemon) -> None:
    up = asyncio.ensure_future(daemon.up())
    await asyncio.sleep(0)
    up.cancel()
    await asyncio.wait([up])
    assert daemon.fleet.machines == {}
    assert daemon.stored() == {}
    assert (await daemon.up())["vm"]["state"] == "running"


async def test_a_queued_up_is_withdrawn_when_its_last_caller_leaves(daemon: Daemon) -> None:
    await daemon.up()
    await daemon.call("vm.stop", name="web-dev")
    machine = daemon.fleet.machines["web-dev"]
    async with machine.serial:
        up = asyncio.ensure_future(daemon.up())
        await spin()
        up.cancel()
        await spin()
    await asyncio.wait([up])
    vm = await daemon.status()
    assert (vm["state"], vm["desired"]) == ("stopped", "stopped")
    assert len(daemon.launcher.launched) == 1


async def test_a_vm_that_does_not_fit_is_refused_and_one_that_hardly_fits_gets_a_warning(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "memory", lambda: limits.Memory(1 << 30, 1 << 30))
    with pytest.raises(errors.ConfigError, match=r"memory: 2\.0 GiB is more than this host has"):
        await daemon.up()
    assert not daemon.fleet.machines
    monkeypatch.setattr(limits, "memory", lambda: limits.Memory(4 << 30, 1 << 30))
    result = await daemon.up()
    (warning,) = result["warnings"]
    assert "2.0 GiB is more than the 1.0 GiB that this host has free" in warning
    assert (await daemon.up())["warnings"] == []  # the VM runs: it needs no more memory
    for method in ("vm.config.set", "vm.config.plan"):
        with pytest.raises(errors.ConfigError, match="more than this host has"):
            await daemon.call(method, name="web-dev", changes={"memory": "8GiB"})
    assert daemon.fleet.machines["web-dev"].record.pending is None
    await daemon.call("vm.stop", name="web-dev")
    started = await daemon.call("vm.start", name="web-dev")
    assert started["warnings"] == [warning]
